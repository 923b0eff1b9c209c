"""Prints what a study can conclude, before any of it is trained."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from mixlab.messages import say
from mixlab.tracking import store
from mixlab.tracking.store import StoredRun


def print_outlook(
    plan: Mapping[str, Any], console: Console, *, recorded: Mapping[str, StoredRun], report: Any
) -> list[str]:
    """Print and return what a plan can conclude, by MLflow's records so far, if the report's module says so."""
    outlook, metric = getattr(report, "outlook", None), plan["metric"]
    done = ((key, recorded[key].metrics) for key in store.finished(recorded))
    results = {key: metrics[metric] for key, metrics in done if metric in metrics}
    lines: list[str] = outlook(plan, results) if outlook is not None else []
    for line in lines:
        say(console, line)
    return lines
