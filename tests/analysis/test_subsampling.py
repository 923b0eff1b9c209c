"""The figure of shares and rules, from runs in a real store."""

from typing import Any

import pandas as pd
import pytest

from analysis import subsampling
from tests.analysis.planned import make_plan

pytestmark = pytest.mark.slow


def accuracy(trial: dict[str, Any]) -> float:
    return 60 + trial["seed"] + 5 * (trial["arm"] == "1e3") + 50 * float(trial["levels"]["subset.share"])


def test_it_writes_the_points_and_prints_the_means(track, painted, out, capsys):
    study = track()
    plan = make_plan(arms=("0.125", "1e3"), seeds=2, factors={"subset.share": ("0.05", "0.4")})
    study.add_all(plan, accuracy)  # the levels are in the configuration
    assert study.call(subsampling, "--out", str(out)) == 0
    assert {file.name for file in out.iterdir()} == {"shares.csv", "shares.png", "shares.pdf", "shares.tex"}
    points = pd.read_csv(out / "shares.csv")
    assert len(points) == 8
    assert points.groupby(["arm", "share"])["value"].mean().tolist() == [63.0, 80.5, 68.0, 85.5]
    said = capsys.readouterr().out
    assert said.startswith("top-1 accuracy, %, by arm and by the share of the images")
    printed = [line.split() for line in said.splitlines()]
    assert ["0.125", "63.00", "80.50"] in printed  # a name, not a number
    assert ["1e3", "68.00", "85.50"] in printed


def test_a_single_share_has_marks_and_bars(track, out):
    study = track()
    study.add_all(make_plan(arms=("cv", "easy"), seeds=2, factors={"subset.share": ("0.4",)}), accuracy)
    assert study.call(subsampling, "--out", str(out)) == 0
    assert "mark: mean over seeds, bar: lowest to highest seed" in (out / "shares.tex").read_text()
