"""Histograms of drawn and learned lambda, read from a real MLflow store."""

from __future__ import annotations

from typing import Any

import numpy as np
from mlflow.entities import Metric

from analysis.ablation_table import study_table
from analysis.lambdas import load_histograms, plot_lambda


def bins(name: str, epoch: int, full: int, timestamp: int = 0) -> list[Metric]:
    """All images in one bin."""
    return [Metric(f"{name}/{place}", float(place == full), timestamp, epoch) for place in range(10)]


def test_one_seed_of_each_arm_that_learned_lambda(track: Any, make_plan: Any) -> None:
    study, plan = track(), make_plan(arms=("baseline", "+ lam"), seeds=2)
    study.add_plan(plan)
    for trial in plan["trials"]:
        run_id = study.add_run(trial, 40.0)
        if trial["arm"] == "+ lam":
            metrics = [
                *(metric for epoch in (1, 2) for metric in bins("lam_drawn", epoch, 5)),
                *bins("lam_learned", 1, 5),
                *bins("lam_learned", 2, 3),
                *bins("lam_learned", 2, 7 + trial["seed"], timestamp=1),  # the epoch again, of a resumed run
            ]
            study.client.log_batch(run_id, metrics)
    levels = study_table(study.uri, study.study).levels
    (found,) = load_histograms(study.uri, levels)
    assert (found.arm, found.seed, found.epochs.tolist()) == ("+ lam", 0, [1, 2])
    assert found.drawn.argmax(axis=1).tolist() == [5, 5]
    assert found.learned.argmax(axis=1).tolist() == [5, 7]
    assert np.allclose(found.learned.sum(axis=1), 1)
    figure = plot_lambda(study.study, [found], levels)
    assert "seed 0" in " ".join(text.get_text() for sub in figure.subfigs for text in sub.texts)


def test_a_study_that_learned_none_has_none(track: Any, make_plan: Any) -> None:
    study, plan = track(), make_plan(seeds=1)
    study.add_plan(plan)
    for trial in plan["trials"]:
        study.add_run(trial, 40.0)
    assert load_histograms(study.uri, study_table(study.uri, study.study).levels) == []
