import json

from analysis import compare


def test_the_command(track, make_plan, capsys):
    for name, gain in (("first", 0.0), ("second", 1.0)):
        study, plan = track(study=name), make_plan(study=name, arms=("baseline", "+ lam"), seeds=6)
        study.add_plan(plan)
        for trial in plan["trials"]:
            study.add_run(trial, 70.0 + trial["seed"] + gain, config={"lr": 0.1 + gain})
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
