"""The command on a checkpoint in a real store, and images that are noise."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis import uncertainty
from trainables.cost import noise_splits


@pytest.fixture
def called(trained, tmp_path, monkeypatch) -> Any:
    monkeypatch.setattr(uncertainty, "images_of", lambda config, root: noise_splits(config, 41))
    monkeypatch.setattr("analysis.networks.evaluate.MOST_IMAGES", 8)  # the last batch has one image

    def call(out: Path, *options: str, run: str = trained.run_ids["+ lam", 0]) -> int:
        return uncertainty.main([run, "--tracking-uri", trained.uri, "--out", str(out), "--mixings", "3", *options])

    return call


@pytest.mark.slow
def test_every_image_is_scored_once_and_in_its_own_row(called, out, capsys):
    assert called(out, "--baselines") == 0
    scores = pd.read_csv(out / "scores.csv")
    assert scores["image"].tolist() == list(range(41))
    assert scores["label"].tolist() == [image % 10 for image in range(41)]
    assert (scores["std"] / scores["mean"]).tolist() == pytest.approx(scores["cv"].tolist())
    assert (scores["cv"] > 0).all()
    assert scores.groupby("label")["k_centre"].apply(lambda places: sorted(places) == list(range(len(places)))).all()
    assert {file.name for file in out.iterdir()} == {"scores.csv", "extremes.png", "extremes.pdf", "extremes.tex"}
    assert str(out / "scores.csv") in capsys.readouterr().out
    assert uncertainty.parser.parse_args(["run"]).mixings == 10  # the paper's M


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores_of_the_first_images(called, tmp_path):
    for name in ("one", "two"):
        assert called(tmp_path / name, "--images", "12") == 0
    one, two = ((tmp_path / name / "scores.csv").read_text() for name in ("one", "two"))
    assert one == two
    assert len(one.splitlines()) == 13


def test_an_unknown_run_is_one_sentence(called, tmp_path, capsys):
    assert called(tmp_path, run="0123") == 2
    assert "uncertainty.py: run '0123': MLflow has no config.json of it" in capsys.readouterr().err
