"""The command that compares networks image by image, on a real MLflow store."""

import numpy as np
import pytest

from analysis import per_image
from analysis.statistics import predictions
from tests.analysis.planned import make_plan, tables_of


@pytest.mark.slow
def test_the_command_prints_names_as_they_are_and_tells_which_runs_lack_logits(track, tmp_path, capsys):
    """The arms, whose names look like numbers, have 40 images of 4 classes; one gets 8 more of them right."""
    study, labels = track(), np.arange(40) % 4
    study.add_all(make_plan(arms=("0.125", "1e3"), seeds=2), lambda trial: 70.0)

    def log_predictions(trial):
        right = np.arange(40) < (30 if trial["arm"] == "1e3" else 22) + trial["seed"]
        logits = 6 * np.eye(4, dtype=np.float16)[np.where(right, labels, (labels + 1) % 4)]
        np.savez_compressed(tmp_path / "predictions.npz", logits=logits, labels=labels)
        study.client.log_artifact(study.run_ids[trial["arm"], trial["seed"]], str(tmp_path / "predictions.npz"))

    first, *others = study.plan["trials"]
    assert study.call(per_image) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert error.endswith("no run of the study 'ablation_tiny' has predictions.npz")
    log_predictions(first)
    assert study.call(per_image) == 0
    assert capsys.readouterr().err == (
        "per_image.py: not counted: 3 runs without predictions.npz: cutmix, '0.125', seed 1; "
        "cutmix, '1e3', seed 0; cutmix, '1e3', seed 1\n"
    )
    for trial in others:
        log_predictions(trial)
    assert study.call(per_image) == 0
    text = capsys.readouterr().out
    assert "mixer = cutmix" in text
    assert "1e3 against 0.125: gain +20.00 points; standard error 0.00 over seeds" in text
    # Of 8 images that differ all are better: p is 2 / 2^8.
    rows = [line.split() for line in text.splitlines()]
    assert ["0", "8", "0", "0.0078"] in rows
    assert "With 2 seeds it cannot be told in which of the 4 classes accuracy differs; at least 6 would" in text
    for name, mean in (("0.125", "56.25"), ("1e3", "76.25")):
        assert [name, "2", mean] in [row[:3] for row in rows]


def test_one_seed_tells_no_spread_over_seeds(track, tmp_path, capsys):
    study, labels = track(), np.arange(40) % 4
    study.add_all(make_plan(arms=("baseline", "+ lam"), seeds=1, factors={}), lambda trial: 70.0)
    for run_id, wrong in zip(study.run_ids.values(), (20, 0), strict=True):
        logits = np.eye(4, dtype=np.float16)[np.where(np.arange(40) < wrong, (labels + 1) % 4, labels)]
        np.savez_compressed(tmp_path / "predictions.npz", logits=logits, labels=labels)
        study.client.log_artifact(run_id, str(tmp_path / "predictions.npz"))
    assert study.call(per_image) == 0
    text = capsys.readouterr().out
    assert "+50.00 points; standard error 8.01 over test images; one seed tells none over seeds." in text
    rows = [line.split() for line in text.splitlines()]
    assert ["0", "20", "0", "<", "0.0001"] in rows  # never 0
    assert ["baseline", "1", "50.00"] in [row[:3] for row in rows if row[-1:] == ["–"]]  # the agreement of one seed
    assert "nan" not in text


def test_classes_are_told_apart_from_six_seeds_on_and_never_where_seeds_were_added_until_decided():
    labels = np.arange(40) % 2
    right = np.where(labels == 0, labels, 1 - labels) * np.ones((6, 1), dtype=int)  # class 1 is always wrong
    by_arm = {
        arm: per_image.Predictions(list(range(6)), np.eye(2, dtype=np.float16)[found], labels)
        for arm, found in {"baseline": right, "+ lam": np.tile(labels, (6, 1))}.items()  # in the arm all are right
    }
    levels = {"values": lambda _, seed: 50.0 + seed, "arms": tuple(by_arm), "seeds": 6, "factors": {}}
    (level,) = tables_of(**levels)
    said = "Accuracy differs in 1 of 2 classes (p over all of them < 0.05): class 1 +100.0."
    assert per_image.comparisons_text(level, by_arm)[-1] == said
    (level,) = tables_of(**levels, sequential={"budget": 20})
    assert per_image.comparisons_text(level, by_arm)[-1].endswith("so no p over its classes holds.")


def test_of_many_classes_that_differ_those_with_the_largest_gains_are_named():
    labels = np.arange(240) % 12
    easier = np.ones((6, 240), dtype=bool)
    easier[:, :12] = False  # one of the 20 images of a class stays wrong
    harder = (np.arange(240) // 12 > labels + 1) * easier  # the higher the number of the class, the more are wrong
    said = per_image._classes_text(predictions.class_gains(easier, harder, labels), 6)
    assert said.startswith("Accuracy differs in 12 of 12 classes (p over all of them < 0.05): class 11 +60.0, class 10")
    assert said.endswith("class 2 +15.0, and others.")
