"""The form that the plan of a study or of a search must have to be read back; see ``mixlab.spec.json_form``."""

from collections.abc import Mapping
from typing import Any

from mixlab.spec import json_form

# By the level in MLflow of the run that has the plan.
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
# Parts that a plan of an earlier version may lack, and that may be null.
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
    given = {name: form for name, form in OPTIONAL.items() if plan.get(name) is not None}
    plan = json_form.shaped(plan, given)
    for trial in plan["trials"] if level == "study" else ():
        if lacking := [factor for factor in plan["factors"] if factor not in trial["levels"]]:
            raise ValueError(f"a trial has no level of {lacking[0]!r}")
        if trial["arm"] not in plan["arms"]:
            raise ValueError(f"a trial is of the arm {trial['arm']!r}, which the plan lacks")
    return plan
