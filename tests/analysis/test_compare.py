"""Two studies, compared cell by cell: by hand, and as a command on a real MLflow store."""

import json

import numpy as np
import pytest

from analysis.compare import as_json, compare, comparison_text, main
from mixlab.spec.metric import Metric
from tests.analysis.planned import VALUE, make_plan, planned_runs


@pytest.fixture(scope="module")
def uri(track_in, tmp_path_factory):
    """Return a store with two studies of an arm and six seeds; one has a plan of three, too, and one until decided."""
    folder = tmp_path_factory.mktemp("compared")
    for name, up in (("first", 0.0), ("second", 1.0)):
        study, plan = track_in(folder, name), make_plan(study=name, arms=("baseline",), seeds=6)
        if name == "second":
            study.add_plan(make_plan(study=name, arms=("baseline",), seeds=3), "3eed5")
            study.add_plan({**plan, "sequential": {"budget": 20}}, "decided")
        study.add_all(plan, lambda trial, up=up: 70.0 + trial["seed"] + up, lambda _, up=up: {"lr": 0.1 + up})
    return study.uri


@pytest.mark.parametrize(
    ("plan", "sequential", "said"),
    [
        ("3eed5", False, "for the 1 cell; with 3 pairs none can be told apart, at least 6 would be needed."),
        ("decided", True, "so no p holds; the interval takes the seeds for a number fixed beforehand."),
    ],
)
def test_what_cannot_be_told_is_not_said_to_be_alike(uri, capsys, plan, sequential, said):
    assert main(["first", f"second@{plan}", "--tracking-uri", uri]) == 0
    text = capsys.readouterr().out
    assert f"{said} Sd paired" in text
    assert "differ (p" not in text
    row = next(line.split() for line in text.splitlines() if line.startswith("cutmix · baseline"))
    assert ("–" in row[-4:]) == sequential  # p and p (family)


def test_the_command_prints_the_differences_as_text_and_as_json(uri, capsys):
    assert main(["first", "second", "--tracking-uri", uri]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert ["lr", "0.1", "1.1", "1"] in lines
    assert ["cutmix", "·", "baseline", "6", "72.50", "73.50", "+1.00"] in [line[:7] for line in lines]
    assert "corrected for the 1 cell; 1 differs (p" in text
    assert main(["first", "second", "--tracking-uri", uri, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["configuration"] == [{"key": "lr", "A": "0.1", "B": "1.1", "cells": 1}]
    assert [(row["cell"], row["gain"]) for row in found["gains"]] == [("cutmix · baseline", 1)]
    assert (found["only"], found["shared_runs"], found["unfinished"]) == ({"A": [], "B": []}, 0, [])
    assert main(["first", "first", "--tracking-uri", uri]) == 0
    text = capsys.readouterr().out
    assert "nan" not in text
    assert "Sd paired" not in text
    assert "No cell has a seed in common that is not of a shared run, so nothing is compared." in text
    assert "Runs that both share, and that are not counted: 6." in text
    assert main(["first", "third", "--tracking-uri", uri]) == 2


@pytest.fixture
def two():
    """Return two studies of 8 seeds: B has half the learning rate, 1 more in all runs of "plain", and an own arm."""
    luck = np.random.default_rng(0).normal(0, 3, 8)
    wobble = 0.1 * (-1) ** np.arange(8)
    first = make_plan(arms=("plain", "+ a"), seeds=8)
    second = make_plan(arms=("plain", "+ a", "+ b"), seeds=8)
    a = {(arm, s): 70 + luck[s] for arm in first["arms"] for s in range(8)}
    b = {(arm, s): 70 + luck[s] + wobble[s] + (arm == "plain") for arm in second["arms"] for s in range(8)}
    rows = planned_runs(first, a, **{"config.lr": "0.1"}), planned_runs(second, b, **{"config.lr": "0.05"})
    sides = zip("ab", rows, strict=True)
    return [runs.assign(run_id=[f"{side}{number}" for number in range(len(runs))]) for side, runs in sides]


def test_gains_of_comparable_cells(two):
    found = compare(*two, "test_top1_median10")
    assert list(found.gains.index) == ["cutmix · plain", "cutmix · + a"]
    assert found.gains["gain"].tolist() == pytest.approx([1, 0])
    assert found.gains["pairs"].tolist() == [8, 8]
    assert found.gains["differs"].tolist() == [True, False]
    # The first is reached by itself and, where every second seed is flipped, by the equal sizes of the second.
    assert found.gains["p_family"].iloc[0] == 4 / 2**8
    assert found.only == ([], ["cutmix · + b"])
    assert (found.gains["sd_paired"] < 0.2).all()  # pairing is worth much here
    assert (found.gains["sd_unpaired"] > 2).all()


def test_what_differs_in_what_was_run(two):
    two[1]["commit"] = "ffff"
    found = compare(*two, "test_top1_median10")
    assert found.configuration.to_dict("records") == [{"key": "lr", "A": "0.1", "B": "0.05", "cells": 2}]
    assert found.provenance.to_dict("records") == [{"what": "commit", "A": "0123456789abcdef", "B": "ffff"}]


def test_runs_that_both_share_are_not_counted(two):
    a, b = two
    b.loc[b["seed"] == 0, "run_id"] = [a["run_id"].iloc[0], a["run_id"].iloc[8], "b"]
    found = compare(a, b, "test_top1_median10")
    assert found.same == 2
    assert found.gains["pairs"].tolist() == [7, 7]


def test_cells_without_pairs_are_not_in_the_family(two):
    a, b = two
    b.loc[b["arm"] == "+ a", "seed"] += 8
    said = comparison_text(compare(a, b, "test_top1_median10"), "test_top1_median10", Metric("test_top1", "%"))
    assert "p (family) is corrected for the 1 cell with pairs; 1 differs (p" in said


def test_a_study_that_is_not_done_is_named(two):
    def said(sequential=False):
        found = compare(*two, "test_top1_median10", sequential=sequential)
        return comparison_text(found, "test_top1_median10", Metric("test_top1", "%"), sequential=sequential)

    assert "Not every seed" not in said()
    two[1].loc[two[1]["arm"] == "+ b", "status"] = "pending"  # A has no such run
    assert "Not every seed" not in said()
    two[1].loc[0, "status"] = "interrupted"
    assert "\n\nNot every seed of B is done yet: p holds once all are.\n" in said()
    assert as_json(compare(*two, "test_top1_median10"))["unfinished"] == ["B"]
    assert "Not every seed" not in said(sequential=True)


def test_a_run_that_has_diverged_is_not_counted(two):
    a, b = two
    b.loc[b["seed"] == 3, VALUE] = np.inf
    found = compare(a, b, "test_top1_median10").gains
    assert found["pairs"].tolist() == [7, 7]
    assert np.isfinite(found[["B", "gain", "gain_low", "gain_high", "p"]].to_numpy()).all()


def test_a_factor_that_the_other_lacks_is_refused(two):
    plan = make_plan(arms=("plain",), seeds=1, factors={"mixer": ("cutmix",), "backbone": ("r20", "r8")})
    runs = planned_runs(plan, {("plain", 0): 70.0})
    with pytest.raises(ValueError, match="B has several runs of 'cutmix · plain' and one seed"):
        compare(two[0], runs, "test_top1_median10")
    with pytest.raises(ValueError, match="no run of A logged the metric 'top9'"):
        compare(*two, "top9")
