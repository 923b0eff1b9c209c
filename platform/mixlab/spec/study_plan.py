"""Writes down a study for the tables and figures, as MLflow keeps it on the study's run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.study import Study
from mixlab.spec.trial import Trial, digest


def study_plan(
    study: Study,
    trials: Sequence[Trial],
    preset: str,
    train: CompleteTrainable,
    looks: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return what the analysis needs to know about a study started with this preset, ready for JSON.

    ``looks`` are those of ``mixlab.tracking.looks``.
    """
    first, *others = (trial.config for trial in trials)
    return {
        "study": study.name,
        "preset": preset,
        "factors": list(study.factors),
        "arms": [arm.name for arm in study.arms],
        "baseline": study.baseline,
        "against": {arm.name: arm.against or study.baseline for arm in study.arms[1:]},
        "controls": [arm.name for arm in study.arms if arm.control],
        "design": _design(study),
        "tried": dict(study.tried),
        "winners": winners(study),
        "metric": study.metric or train.metric,
        "metrics": [metric.json() for metric in train.metrics],
        "family": study.family,
        "delta": study.delta,
        "sequential": {"budget": len(study.seeds)} if study.sequential else None,
        "looks": dict(looks or {}),
        "config": {key: value for key, value in first.items() if all(other.get(key) == value for other in others)},
        "trials": [{"key": t.key, "arm": t.arm, "levels": dict(t.levels), "seed": t.seed} for t in trials],
    }


def winners(study: Study) -> dict[str, list[Any]]:
    """Return of each cell that was tuned the trials of which its point is the best, and a digest of that point.

    A cell has the digest of its configuration before it was tuned, so that it is known in another search, too.
    """
    tuned = study.tuned or {}
    cells = [cell for cell in replace(study, tuned=None).cells() if cell.name in tuned] if tuned else []
    return {digest(cell.config): [study.tried.get(cell.name, 0), digest(tuned[cell.name])] for cell in cells}


def _design(study: Study) -> dict[str, Any] | None:
    """Return the factorial design that is among the arms, if every combination of its terms is there."""
    signs = {arm.name: dict(arm.signs) for arm in study.arms if arm.signs and not arm.control}
    terms = list(next(iter(signs.values()), ()))
    combinations = {tuple(each[term] for term in terms) for each in signs.values()}
    if not terms or not len(signs) == len(combinations) == 2 ** len(terms):
        return None
    return {"kind": "factorial", "terms": terms, "signs": signs}
