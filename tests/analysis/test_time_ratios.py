"""The cost of an arm is its mean training time over that of the baseline at the same levels."""

from typing import Any

import pandas as pd
import pytest

from analysis import time_ratios
from analysis.time_ratios import SECONDS
from trainables.config import flatten, parse
from trainables.recipes import CIFAR100_PREACT_RESNET18

ARMS = ("none", "puzzlemix")
TIMES = {("a", "none"): (10.0, 12.0), ("a", "puzzlemix"): (20.0, 35.0), ("b", "none"): (4.0, 4.0)}


@pytest.fixture
def runs() -> pd.DataFrame:
    rows = [
        {"factor.net": net, "arm": arm, "seed": seed, "status": "done", "run_id": "r", "hardware": "GPU", SECONDS: time}
        for (net, arm), times in TIMES.items()
        for seed, time in enumerate(times)
    ]
    rows.append({**rows[0], "arm": "puzzlemix", "factor.net": "b", "status": "failed", SECONDS: float("nan")})
    return pd.DataFrame(rows)


def test_a_ratio_is_of_means_at_the_same_levels(runs: pd.DataFrame) -> None:
    table = time_ratios.time_ratios(runs, {"factors": ["net"], "baseline": "none"})
    assert table[["net", "arm", "runs", "seconds"]].to_numpy().tolist() == [
        ["a", "none", 2, 11.0],
        ["a", "puzzlemix", 2, 27.5],
        ["b", "none", 2, 4.0],
    ]
    assert table["ratio"].tolist() == [1.0, 2.5, 1.0]
    assert table["paper"].isna().all()


def test_without_times_it_says_so(runs: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="no run that is done logged its training time"):
        time_ratios.time_ratios(runs.drop(columns=SECONDS), {"factors": ["net"], "baseline": "none"})


def test_the_command_prints_the_papers_ratio_beside_ours(
    track: Any, make_plan: Any, capsys: Any, tmp_path: Any
) -> None:
    study, plan = track(), make_plan(arms=ARMS, seeds=1)
    study.add_plan(plan)
    for trial in plan["trials"]:
        config = flatten(parse({**CIFAR100_PREACT_RESNET18, "mixer": trial["arm"]}))
        run_id = study.add_run(trial, 78.0, config=config)
        study.client.log_metric(run_id, "train_seconds_total", 2.0 if trial["arm"] == "none" else 6.0)
    out = tmp_path / "times.csv"
    assert time_ratios.main([study.study, "--tracking-uri", study.uri, "--out", str(out)]) == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if "puzzlemix" in line]
    assert row[2:6] == ["1", "6.0", "3.00", "2.73"]
    assert pd.read_csv(out)["paper"].tolist() == [1.0, 2.73]
