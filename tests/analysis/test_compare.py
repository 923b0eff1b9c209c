import json

import pytest

from analysis import compare


@pytest.mark.parametrize(
    ("seeds", "sequential", "said"),
    [
        (3, False, "p (family) is corrected for the 2 cells; with 3 pairs none can be told apart, at least 6 would be"),
        (6, True, "Seeds were added until a comparison was decided, so no p holds."),
    ],
)
def test_what_cannot_be_told_is_not_said_to_be_alike(track, make_plan, capsys, seeds, sequential, said):
    for name, gain in (("first", 0.0), ("second", 1.0)):
        study, plan = track(study=name), make_plan(study=name, arms=("baseline", "+ lam"), seeds=seeds)
        plan["sequential"] = {"budget": 20} if sequential and gain else None
        study.add_all(plan, lambda trial, gain=gain: 70.0 + trial["seed"] + gain)
    assert compare.main(["first", "second", "--tracking-uri", study.uri]) == 0
    text = capsys.readouterr().out
    assert said in text
    assert "differ (p" not in text
    row = next(line.split() for line in text.splitlines() if line.startswith("cutmix · baseline"))
    assert ("–" in row) == sequential


def test_the_command(track, make_plan, capsys):
    for name, gain in (("first", 0.0), ("second", 1.0)):
        study, plan = track(study=name), make_plan(study=name, arms=("baseline", "+ lam"), seeds=6)
        study.add_plan(plan)
        for trial in plan["trials"]:
            study.add_run(trial, 70.0 + trial["seed"] + gain, config={"lr": 0.1 + gain}, wait=False)
        study._written()
    assert compare.main(["first", "second", "--tracking-uri", study.uri]) == 0
    text = capsys.readouterr().out
    lines = [line.split() for line in text.splitlines()]
    assert ["lr", "0.1", "1.1", "2"] in lines
    assert ["cutmix", "·", "baseline", "6", "72.50", "73.50", "+1.00"] in [line[:7] for line in lines]
    assert "corrected for the 2 cells; 2 differ" in text
    assert compare.main(["first", "second", "--tracking-uri", study.uri, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["configuration"] == [{"key": "lr", "A": "0.1", "B": "1.1", "cells": 2}]
    assert [(row["cell"], row["gain"]) for row in found["gains"]] == [("cutmix · baseline", 1), ("cutmix · + lam", 1)]
    assert (found["only"], found["shared_runs"]) == ({"A": [], "B": []}, 0)
    assert compare.main(["first", "first", "--tracking-uri", study.uri]) == 0
    text = capsys.readouterr().out
    assert "nan" not in text
    assert "Runs that both share, and that are not counted: 12." in text
    assert compare.main(["first", "third", "--tracking-uri", study.uri]) == 2
