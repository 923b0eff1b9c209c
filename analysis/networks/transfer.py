"""The networks on which transferred attacks are made, in place of those that are attacked.

A substitute is the network of any run in MLflow, the networks of an arm of the study, or one of torchvision's.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from analysis.networks.checkpoint import Checkpoint, CheckpointError, fetch, load_network
from analysis.records.runs import done
from mixlab.tracking import store
from trainables.backbones.backbone import Network
from trainables.backbones.pretrained import load_classifier, load_pretrained
from trainables.config import Config, parse
from trainables.methods import build_network
from trainables.ranges import Pretrained

TORCHVISION = "torchvision/"  # before the name of a backbone with torchvision's weights
WEIGHTS: Pretrained = "IMAGENET1K_V1"  # the version of torchvision's weights


@dataclass(frozen=True)
class Substitute:
    """A network on which attacks are made."""

    name: str  # what the command line calls it
    checkpoint: Checkpoint

    def network(self, attacked: Config) -> Network:
        """Return the network, on its device in evaluation mode, for an attack on one of the configuration ``attacked``.

        A checkpoint that cannot be read, or that is of other images, raises ``ValueError``.
        """
        with _as_option(self.name):
            network, own = load_network(self.checkpoint)
        mine, theirs = (f"{config.dataset} at {config.tested_side} pixels" for config in (own, attacked))
        if mine != theirs:
            raise ValueError(f"--substitutes {self.name!r} is tested on {mine}, the study on {theirs}")
        return network

    def box(self, attacked: Config) -> str:
        """Return ``grey`` if it has the architecture of the attacked network, ``black`` if it has another."""
        return "grey" if self.checkpoint.config.get("backbone") == attacked.backbone else "black"


def find_substitutes(names: Sequence[str], tracking_uri: str, runs: pd.DataFrame, data_root: Path) -> list[Substitute]:
    """Return the substitutes that a command line names, all read before anything is attacked.

    Args:
        names: ``ARM:SEED`` for the networks of an arm of the study, one for each combination of factor levels;
            ``torchvision/BACKBONE``, whose weights are in the data root; or the id of any run in MLflow.
        runs: one row per planned cell of the study.

    Raises:
        ValueError: there is no such network, or its checkpoint cannot be had.
        DataError: torchvision's weights are not there and cannot be downloaded.
    """
    found: list[Substitute] = []
    for name in dict.fromkeys(names):
        if name.startswith(TORCHVISION):
            found.append(of_torchvision(name, data_root))
            continue
        ids = _runs_of(name, runs) if ":" in name or name in set(runs["arm"]) else [name]
        for run_id in ids:
            called = name if len(ids) == 1 else f"{name}, run {run_id[:8]}"
            with _as_option(called):
                found.append(Substitute(called, fetch(store.connect(tracking_uri, make=False), run_id)))
    return found


def of_torchvision(name: str, data_root: Path) -> Substitute:
    """Return torchvision's network with its own classifier of ImageNet's 1,000 classes."""
    backbone = name.removeprefix(TORCHVISION)
    config: dict[str, Any] = {"dataset": "imagenet", "backbone": backbone, "pretrained": WEIGHTS}
    with _as_option(name):
        parsed = parse(config)
    network = build_network(parsed, weights=load_pretrained(backbone, WEIGHTS, data_root))
    network.backbone.head.load_state_dict(load_classifier(backbone, WEIGHTS, data_root))
    content = io.BytesIO()
    torch.save(network.backbone.state_dict(), content)
    return Substitute(name, Checkpoint(config, content.getvalue()))


def _runs_of(name: str, runs: pd.DataFrame) -> list[str]:
    """Return the ids of the runs of ``ARM:SEED`` that are done; an arm without a seed has none."""
    arm, _, seed = name.rpartition(":")
    finished = done(runs)
    wanted = finished[(finished["arm"] == arm) & (finished["seed"].astype(str) == seed)]
    if wanted.empty:
        known = ", ".join(f"{row['arm']}:{row['seed']}" for row in finished.drop_duplicates("arm").to_dict("records"))
        raise ValueError(f"--substitutes {name!r} has no run that is done; there are, for instance: {known}")
    return [str(run_id) for run_id in wanted["run_id"]]


@contextmanager
def _as_option(name: str) -> Iterator[None]:
    """Name the substitute in an error that the block raises."""
    try:
        yield
    except (CheckpointError, ValueError) as error:
        raise ValueError(f"--substitutes {name!r}: {error}") from None
