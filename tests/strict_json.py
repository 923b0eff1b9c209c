"""Reads JSON as a parser does that knows no number that is not finite, which Python's own accepts."""

import json
from typing import Any

import pytest


def strict(text: str | bytes) -> Any:
    """Return what JSON holds; fail for NaN and for infinity, which no JSON has."""
    return json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
