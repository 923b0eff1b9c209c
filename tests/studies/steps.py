"""Tries a study by a dry run, and by training steps on two images of noise."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from analysis.records.published import sumix_terms
from mixlab import main
from tests.endings import ended
from tests.studies.cells import load, trials
from trainables import methods
from trainables.classify import train
from trainables.config import NEUTRAL, Config, parse
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import dataset_of, open_splits
from trainables.methods import attention_extractor, mask_learning
from trainables.methods.inputs import inputs_of
from trainables.mixers import learns_masks
from trainables.network_shapes import Undrawn
from trainables.training import Run


def require_dry_run(
    name: str, folder: Path, tracking_uri: str, capsys: pytest.CaptureFixture[str], preset: str = "smoke"
) -> None:
    """Check that a study's dry run ends well, and says how many trials it has and what they cost."""
    where = ("--tracking-uri", tracking_uri, "--storage", str(folder / "results"))
    with ended(0):
        main(load(name)[0], train, ["--preset", preset, "--dry-run", *where])
    said = capsys.readouterr().out
    assert f"{len(trials(name, '--preset', preset))} pending" in said
    assert "Estimated cost" in said


# The sides in pixels of photographs and of smaller images, which are reduced to these: it spares minutes.
PHOTOGRAPHS, SMALL = 32, 16


def reduced(config: Config) -> Config:
    """Return a configuration for a batch of two small images."""
    config = replace(config, batch_size=2)
    side = PHOTOGRAPHS if dataset_of(config).image_shape[1] > 64 else SMALL
    return replace(config, image_size=side, test_size=side, resize=None)


def different(names: Iterable[str]) -> dict[str, Config]:
    """Return reduced configurations that try each network, loss and mixer of the studies.

    A network is tried with and without SUMix, and one of its family with every mixer that asks something of it or
    learns: the others answer by the same code. Whatever else a configuration brings is tried once, with a small
    network: each loss with each such mixer, and each mixer's options.
    """
    found: dict[str, Config] = {}
    seen: set[str] = set()
    for name in names:
        for trial in trials(name):
            config = reduced(parse(trial.config))
            network, others = parts_of(trial.config, config)
            if network not in seen:
                found[" ".join([network, *others])] = config
            elif set(others) - seen:
                found[" ".join(others)] = replace(config, backbone="resnet8", drop_path=0.0)
            seen |= {network, *others}
    return found


def parts_of(keys: Mapping[str, Any], config: Config) -> tuple[str, list[str]]:
    """Return what a step of a configuration tries: its network; its loss and its mixer, whatever their numbers."""
    shape = "x".join(map(str, dataset_of(config).image_shape))
    other = {key: keys[key] for key in NEUTRAL if keys.get(key, NEUTRAL[key]) != NEUTRAL[key]}
    added = {key: "a number" if isinstance(value, float) else value for key, value in other.items()}
    of_loss = {key: value for key, value in added.items() if not key.startswith("mixer.")}
    asking = config.mixer if inputs_of(config.mixer) or learns_masks(config.mixer) else ""
    parts = (config.drop_path > 0, config.drop_block > 0, config.label_smoothing > 0, config.sumix.any)
    loss = f"{config.sumix.preset} {sumix_terms(keys)} {of_loss} {asking}"
    network = re.sub(r"\d+", "", config.backbone) if asking else config.backbone  # without its depth
    return f"{network} {shape} {parts} {asking}", [loss, f"{config.mixer} {added}"]


def draw_quickly(network: nn.Module) -> None:
    """Draw uniform weights, which takes a fraction of the time of a normal distribution's."""
    for weight in network.parameters():
        if weight.ndim > 1:
            bound = (3 / weight[0].numel()) ** 0.5
            nn.init.uniform_(weight, -bound, bound)


def take_steps(names: Iterable[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Take the steps, check that each moves the network's head to finite weights, and return the number of networks.

    Each network is built once for its many cells, which follow one another, and is then forgotten. A method's copy of
    it gets its weights, and is not drawn before.
    """
    build = methods.build_network
    cells = different(names)

    def network_of(config: Config) -> tuple[object, ...]:
        dataset = dataset_of(config)
        return config.backbone, dataset.image_shape[1], dataset.num_classes, config.drop_path, config.drop_block

    kept: dict[tuple[object, ...], Any] = {}

    def built_once(config: Any, seed: int = 0, weights: Any = None) -> Any:
        if network_of(config) not in kept:
            kept.clear()
            with Undrawn():
                kept[network_of(config)] = build(config)
            draw_quickly(kept[network_of(config)])
        return kept[network_of(config)]

    def copied(config: Config) -> nn.Module:
        with Undrawn():
            return build(config)

    monkeypatch.setattr(methods, "build_network", built_once)
    for module in (attention_extractor, mask_learning):
        monkeypatch.setattr(module, "build_network", copied)
    for cell, settings in sorted(cells.items(), key=lambda item: str(network_of(item[1]))):
        dataset = dataset_of(settings)
        noise = torch.randint(0, 256, (2, *dataset.image_shape), dtype=torch.uint8)
        split = Split(noise, torch.tensor([0, dataset.num_classes - 1]))
        run = Run(settings, 0, open_splits(settings, Splits(split, split), torch.device("cpu")))
        head = run.method.network.backbone.head.weight
        before = head.detach().clone()
        # After the warm-up, whose first steps are too short to be seen in a weight.
        log = run.train_epoch(settings.warmup_epochs + 1)[0]
        assert math.isfinite(log["train_loss"]), cell
        assert head.isfinite().all(), cell
        assert not torch.equal(head, before), cell
    return len({network_of(settings) for settings in cells.values()})
