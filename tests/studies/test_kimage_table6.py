"""Table 6 of K-image mixing: its cells and published numbers, its dry run, and one step of each of its cells."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient
from PIL import Image

from analysis.records.published import published_number
from mixlab import Options, main, run
from mixlab.spec.complete import complete
from tests.endings import ended
from tests.studies.cells import FOLDER, load
from tests.studies.cells import cells as cells_of
from trainables import search_architecture
from trainables.darts.genotype import Genotype
from trainables.darts.search_config import parse
from trainables.darts.search_run import SearchRun
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import dataset_of

NAME = "kimage_table6"
DATA = FOLDER.parent / "data"
CELLS = ("all of CIFAR-100", "CV of CIFAR-100", "PC-DARTS of CIFAR-10", "PC-DARTS of ImageNet")


@pytest.fixture
def scored(tmp_path, monkeypatch) -> Path:
    """Work in a folder with scores of as many images as a test takes, ten of each of ten classes."""
    file = tmp_path / "results" / "uncertainty" / "scores.csv"
    file.parent.mkdir(parents=True)
    rows = [f"{image},{image % 10},1.0,{image / 100},{image / 100}" for image in range(100)]
    file.write_text("\n".join(["image,label,mean,std,cv", *rows]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


cells = partial(cells_of, NAME, trainable=complete(search_architecture.train))


@pytest.mark.parametrize(
    ("metric", "published"),
    [
        ("test_top1_error", (23.8, 24.3, 25.1, 24.2)),
        ("test_top5_error", (7.09, 7.2, 7.8, 7.3)),
        ("mflops", (730, 671, 586, 597)),
        ("params", (6.3e6, 5.8e6, 5.3e6, 5.3e6)),
        ("search_seconds", (8640, 864, 8640, 3.8 * 86400)),
    ],
)
def test_the_cells_have_the_numbers_of_the_table(metric, published, scored):
    numbers = [published_number(config, metric).value for config in cells().values()]
    assert numbers == pytest.approx(published)
    assert not metric.endswith("error") or all(f"{value:.2f}" in load(NAME)[1] for value in published)


def test_a_part_of_the_images_or_another_rule_is_not_the_published_run(scored):
    config = cells()["CV of CIFAR-100"]
    for keys in ({"subset.rule": "random"}, {"retrain.train_images": 1000}, {"train_images": 10}, {"epochs": 90}):
        assert published_number({**config, **keys}, "test_top1_error") is None


# What every cell of the paper has in common: PC-DARTS's recipe for ImageNet.
RECIPE = {
    **{"dataset": "cifar100", "retrain.dataset": "imagenet", "epochs": 250, "batch_size": 1024, "lr": 0.5},
    **{"channels": 48, "cells": 14, "auxiliary": 0.4, "weight_decay": 3e-4, "retrain.weight_decay": 3e-5},
    **{"retrain.schedule": "linear", "retrain.warmup_epochs": 5, "retrain.label_smoothing": 0.1, "grad_clip": 5.0},
    **{"drop_path": 0.0, "cutout": 0},
}
SHORT = {"dataset": "cifar10", "retrain.dataset": "cifar10", "retrain.image_size": 64}
SHORT["retrain.schedule"] = "cosine"  # the preset resets what the recipe sets


@pytest.mark.parametrize(("preset", "keys"), [("paper", RECIPE), ("quick", SHORT), ("smoke", SHORT)])
def test_every_cell_of_a_preset_has_its_settings(preset, keys, scored):
    found = cells("--preset", preset)
    assert tuple(found) == CELLS
    for config in found.values():
        assert {key: config[key] for key in keys} == keys
        assert (published_number(config, "test_top1_error") is not None) == (preset == "paper")


@pytest.mark.slow
def test_one_step_of_every_cell(scored):
    """A search on a few small images, and a step of the whole network on two photographs, once of 224 pixels."""
    generator = torch.Generator().manual_seed(0)

    def noise(count: int, side: int) -> Splits:
        images = torch.randint(0, 256, (count, 3, side, side), generator=generator, dtype=torch.uint8)
        split = Split(images, torch.arange(count) % 10)
        return Splits(split, split)

    small = {"search_channels": 4, "search_cells": 3, "search_batch_size": 8, "search_epochs": 1, "frozen_epochs": 0}
    small |= {"channels": 4, "cells": 3, "batch_size": 2, "retrain.accumulate": 1}
    small |= {"operations": ("none", "skip_connect", "sep_conv_3x3")}
    for cell, config in cells().items():
        side = 224 if cell == CELLS[-1] else 64
        settings = parse({**config, **small, **({} if side == 224 else {"retrain.image_size": side, "auxiliary": 0.0})})
        count = 20 if settings.subset.rule == "none" else 100
        searched = noise(count, 32) if settings.known_genotype is None else None
        run = SearchRun(settings, 0, searched, noise(2, side), torch.device("cpu"))
        if run.search is not None:
            run.next_epoch()
        assert dataset_of(settings.retrained).num_classes == 1000
        head = run.retraining.network.head.weight
        before = head.detach().clone()
        run.next_epoch()
        assert head.isfinite().all(), cell
        assert not torch.equal(head, before), cell


@pytest.mark.slow
@pytest.mark.parametrize(("name", "arms", "pending"), [(NAME, CELLS[1:], 4), ("kimage_nas", ["CV t = 0.1"], 2)])
def test_a_dry_run_counts_the_cells_that_are_pending(name, arms, pending, scored, tracking_uri, capsys):
    where = ("--tracking-uri", tracking_uri, "--storage", str(scored / "out"), "--data-root", str(DATA))
    options = ["--preset", "smoke", "--arms", ",".join(arms), "--dry-run", *where]
    with ended(0):
        main(load(name)[0], search_architecture.train, options)
    assert f"{pending} pending" in capsys.readouterr().out


@pytest.mark.slow
def test_a_search_on_cifar10_and_a_known_genotype_are_trained_on_a_folder_of_photographs(tmp_path, tracking_uri):
    """The data root holds real CIFAR-10, and photographs in ImageNet's layout, a folder for each class."""
    (tmp_path / "root").mkdir()
    for entry in DATA.iterdir():
        (tmp_path / "root" / entry.name).symlink_to(entry.resolve())
    for split in ("train", "val"):
        for label in range(3):
            folder = tmp_path / "root" / "few" / split / f"n{label}"
            folder.mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (80 + number, 70), (80 * label, 20 * number, 90)).save(folder / f"{number}.jpg")
    smallest = {
        **{"retrain.dataset": "folder", "retrain.folder": "few", "retrain.num_classes": 3, "retrain.image_size": 64},
        **{"train_images": 64, "search_batch_size": 16, "search_epochs": 1, "frozen_epochs": 0},
    }
    study = replace(load(NAME)[0].with_arms(["PC-DARTS of ImageNet"]), presets={"smoke": smallest})
    storage, data_root = str(tmp_path / "results"), str(tmp_path / "root")
    options = Options(preset="smoke", tracking_uri=tracking_uri, storage=storage, data_root=data_root, quiet=True)
    result = run(study, search_architecture.train, options)
    assert result.exit_code == 0
    (table,) = result.tables
    assert set(table.index) == {"all of CIFAR-100", "PC-DARTS of ImageNet"}
    client = MlflowClient(tracking_uri)
    experiment = client.get_experiment_by_name(NAME)
    runs = client.search_runs([experiment.experiment_id], "tags.`mixlab.level` = 'seed'")
    assert len(runs) == 2
    searched = ["search_seconds" in found.data.metrics for found in runs]
    assert sorted(searched) == [False, True]
    assert {found.data.params["retrain.dataset"] for found in runs} == {"folder"}
    for found in runs:
        assert found.data.metrics.keys() >= {"params", "mflops", "test_top1_error_median10"}
        file = client.download_artifacts(found.info.run_id, "genotype.json", str(tmp_path))
        Genotype.of(json.loads(Path(file).read_text()))
