"""Writes down a study for the tables and figures, as MLflow keeps it on the study's run, and reads such a plan back."""

from collections.abc import Mapping, Sequence
from typing import Any

from mixlab.spec import json_form
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.study import Study
from mixlab.spec.trial import Trial


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
        "metric": study.metric or train.metric,
        "metrics": [metric.json() for metric in train.metrics],
        "family": study.family,
        "delta": study.delta,
        "sequential": {"budget": len(study.seeds)} if study.sequential else None,
        "looks": dict(looks or {}),
        "config": {key: value for key, value in first.items() if all(other.get(key) == value for other in others)},
        "trials": [{"key": t.key, "arm": t.arm, "levels": dict(t.levels), "seed": t.seed} for t in trials],
    }


def _design(study: Study) -> dict[str, Any] | None:
    """Return the factorial design that is among the arms, if every combination of its terms is there."""
    signs = {arm.name: dict(arm.signs) for arm in study.arms if arm.signs and not arm.control}
    terms = list(next(iter(signs.values()), ()))
    combinations = {tuple(each[term] for term in terms) for each in signs.values()}
    if not terms or not len(signs) == len(combinations) == 2 ** len(terms):
        return None
    return {"kind": "factorial", "terms": terms, "signs": signs}


# The fields that a plan must have, by the level in MLflow of the run that has it.
NEEDED: Mapping[str, Mapping[str, Any]] = {
    "study": {
        "study": str,
        "factors": [str],
        "arms": [str],
        "baseline": str,
        "metric": str,
        "trials": [{"key": str, "arm": str, "levels": dict, "seed": int}],
    },
    "search": {
        "search": str,
        "preset": str,
        "storage": str,
        "confirmation": str,
        "arms": {str: str},
        "objective": str,
        "direction": str,
        "space": {str: {str: object}},
        "per_arm": int,
        "sampler": str,
        "scheduler": str,
        "search_seeds": [int],
    },
}
# Parts that a plan may lack, as those of earlier versions do; one that is null is lacking.
OPTIONAL: Mapping[str, Any] = {
    "preset": str,
    "against": {str: str},
    "controls": [str],
    "design": {"kind": str, "terms": [str], "signs": {str: dict}},
    "metrics": [{"name": str, "unit": str, "digits": int, "rules": [str], "label": str}],
    "family": str,
    "delta": float,
    "sequential": {"budget": int},
    "looks": dict,
    "config": {str: object},
}


def require_plan(found: Any, level: str) -> dict[str, Any]:
    """Return what was read as the plan of a ``study`` or a ``search``; raise ``ValueError`` unless it is one."""
    plan: dict[str, Any] = json_form.shaped(found, dict(NEEDED[level]))
    plan = {name: part for name, part in plan.items() if part is not None or name not in OPTIONAL}
    plan = json_form.shaped(plan, {name: form for name, form in OPTIONAL.items() if name in plan})
    for trial in plan["trials"] if level == "study" else ():
        if lacking := [factor for factor in plan["factors"] if factor not in trial["levels"]]:
            raise ValueError(f"a trial has no level of {lacking[0]!r}")
        if trial["arm"] not in plan["arms"]:
            raise ValueError(f"a trial is of the arm {trial['arm']!r}, which the plan lacks")
    return plan
