import json

import pytest

from analysis import compare


@pytest.fixture(scope="module")
def uri(track_in, make_plan, tmp_path_factory):
    """Return a store with two studies of an arm and six seeds; one has a plan of three, too, and one until decided."""
    folder = tmp_path_factory.mktemp("compared")
    for name, gain in (("first", 0.0), ("second", 1.0)):
        study, plan = track_in(folder, name), make_plan(study=name, arms=("baseline",), seeds=6)
        if name == "second":
            study.add_plan(make_plan(study=name, arms=("baseline",), seeds=3), "3eed5")
            study.add_plan({**plan, "sequential": {"budget": 20}}, "decided")
        study.add_all(
            plan, lambda trial, gain=gain: 70.0 + trial["seed"] + gain, lambda _, gain=gain: {"lr": 0.1 + gain}
        )
    return study.uri


@pytest.mark.parametrize(
    ("plan", "sequential", "said"),
    [
        ("3eed5", False, "for the 1 cell; with 3 pairs none can be told apart, at least 6 would be needed."),
        ("decided", True, "Seeds were added until a comparison was decided, so no p holds."),
    ],
)
def test_what_cannot_be_told_is_not_said_to_be_alike(uri, capsys, plan, sequential, said):
    assert compare.main(["first", f"second@{plan}", "--tracking-uri", uri]) == 0
    text = capsys.readouterr().out
    assert said in text
    assert "differ (p" not in text
    row = next(line.split() for line in text.splitlines() if line.startswith("cutmix · baseline"))
    assert ("–" in row) == sequential


def test_the_command(uri, capsys):
    assert compare.main(["first", "second", "--tracking-uri", uri]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert ["lr", "0.1", "1.1", "1"] in lines
    assert ["cutmix", "·", "baseline", "6", "72.50", "73.50", "+1.00"] in [line[:7] for line in lines]
    assert "corrected for the 1 cell; 1 differ (p" in text
    assert compare.main(["first", "second", "--tracking-uri", uri, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["configuration"] == [{"key": "lr", "A": "0.1", "B": "1.1", "cells": 1}]
    assert [(row["cell"], row["gain"]) for row in found["gains"]] == [("cutmix · baseline", 1)]
    assert (found["only"], found["shared_runs"]) == ({"A": [], "B": []}, 0)
    assert compare.main(["first", "first", "--tracking-uri", uri]) == 0
    text = capsys.readouterr().out
    assert "nan" not in text
    assert "No cell has a seed in common that is not of a shared run, so nothing is compared." in text
    assert "Runs that both share, and that are not counted: 6." in text
    assert compare.main(["first", "third", "--tracking-uri", uri]) == 2
