"""Composites of K images: the bars are their labels, and the command on made images."""

import pandas as pd
import pytest
import torch

from analysis import composites
from trainables.datasets.dataset import Split, Splits
from trainables.mixers.mixed import Mixed


def test_equal_labels_add_up_and_the_heaviest_is_first():
    mixed = Mixed(torch.zeros(1, 3, 4, 4), torch.tensor([[0, 1, 2]]), torch.tensor([[0.25, 0.5, 0.25]]))
    assert composites.label_bars(mixed, 0, torch.tensor([7, 4, 7])) == [(7, 0.5), (4, 0.5)]
    assert composites.label_bars(mixed, 0, torch.tensor([1, 2, 3])) == [(2, 0.5), (1, 0.25), (3, 0.25)]


@pytest.fixture(autouse=True)
def made_images(monkeypatch) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (60, 3, 32, 32), generator=generator, dtype=torch.uint8)
    split = Split(images, torch.arange(60) % 10)
    monkeypatch.setattr("analysis.networks.evaluate.images_of", lambda config, root: Splits(split, split))


def test_the_command_draws_every_mixer_and_its_weights_sum_to_one(tmp_path, capsys):
    assert composites.main(["--out", str(tmp_path / "out"), "--columns", "2", "--num-images", "4"]) == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        f"composites.{end}" for end in ("png", "pdf", "csv")
    }
    rows = pd.read_csv(tmp_path / "out" / "composites.csv")
    assert list(dict.fromkeys(rows["mixer"])) == list(composites.KIMAGE)
    sums = rows.groupby(["mixer", "composite"])["weight"].sum()
    assert len(sums) == 3 * 2
    assert sums.to_numpy() == pytest.approx(1, abs=1e-5)
    capsys.readouterr()
    for options, sentence in (
        (["--mixers", "dcutmx"], "unknown --mixers 'dcutmx'; did you mean 'dcutmix'?"),
        (["--num-images", "1"], "--num-images must be from 2 to 50, got 1"),
        (["--num-images", str(10**20)], f"--num-images must be from 2 to 50, got {10**20}"),
        (["--columns", "61"], "--columns must be at most 60, the number of test images, got 61"),
        (["--dataset", "cifar11"], "unknown dataset 'cifar11'; did you mean 'cifar10'?"),
    ):
        assert composites.main(options) == 2
        assert capsys.readouterr().err == f"composites.py: {sentence}\n"
