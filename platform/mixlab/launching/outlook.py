"""Prints what a study can conclude, before any of it is trained."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from mixlab.messages import say


def print_outlook(plan: Mapping[str, Any], report: Any, console: Console) -> list[str]:
    """Print and return what a plan can conclude before any of it is trained, if the report's module says so."""
    outlook = getattr(report, "outlook", None)
    lines: list[str] = outlook(plan) if outlook is not None else []
    for line in lines:
        say(console, line)
    return lines
