"""Composites of K images: the bars are their labels, and the command on images of noise."""

import pandas as pd
import pytest
import torch

from analysis import composites
from trainables.mixers.mixed import Mixed


def test_equal_labels_add_up_and_the_heaviest_is_first():
    mixed = Mixed(torch.zeros(1, 3, 4, 4), torch.tensor([[0, 1, 2]]), torch.tensor([[0.25, 0.5, 0.25]]))
    assert composites.label_bars(mixed, 0, torch.tensor([7, 4, 7])) == [(7, 0.5), (4, 0.5)]
    assert composites.label_bars(mixed, 0, torch.tensor([1, 2, 3])) == [(2, 0.5), (1, 0.25), (3, 0.25)]


def test_the_command_draws_every_mixer_and_its_weights_sum_to_one(noise, out, capsys):
    assert composites.main(["--out", str(out), "--columns", "2", "--num-images", "4"]) == 0
    assert {file.name for file in out.iterdir()} == {f"composites.{end}" for end in ("png", "pdf", "tex", "csv")}
    rows = pd.read_csv(out / "composites.csv")
    assert list(dict.fromkeys(rows["mixer"])) == list(composites.KIMAGE)
    sums = rows.groupby(["mixer", "composite"])["weight"].sum()
    assert len(sums) == 3 * 2
    assert sums.to_numpy() == pytest.approx(1, abs=1e-5)
    capsys.readouterr()
    for options, sentence in (
        (["--mixers", "dcutmx"], "unknown --mixers 'dcutmx'; did you mean 'dcutmix'?"),
        (["--dataset", "cifar11"], "unknown dataset 'cifar11'; did you mean 'cifar10'?"),
    ):
        assert composites.main(options) == 2
        assert capsys.readouterr().err == f"composites.py: {sentence}\n"
