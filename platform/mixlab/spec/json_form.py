"""JSON that any program can read.

JSON has no number that is not finite: such a number is written as its word, "NaN", "Infinity" or "-Infinity".
"""

import json
import math
from typing import Any

from mixlab.spec import user_input

WORDS = ("NaN", "Infinity", "-Infinity")  # ``float`` understands them


def dumps(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON, with Python's numbers for those of NumPy, and words for those that are not finite."""
    return json.dumps(_in_words(user_input.plain(value)), indent=indent, allow_nan=False, default=user_input.plain)


def loads(text: str | bytes) -> dict[str, Any]:
    """Return the mapping that JSON holds, with numbers for their words; raise ``ValueError`` if it holds none."""
    found = _in_numbers(json.loads(text))
    if not isinstance(found, dict):
        raise ValueError("it is not a mapping")
    return found


def _in_words(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(float(value))  # by which Python writes a word without its quotes
    if isinstance(value, dict):
        return {key: _in_words(each) for key, each in value.items()}
    return [_in_words(each) for each in value] if isinstance(value, list | tuple) else value


def _in_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _in_numbers(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_in_numbers(each) for each in value]
    return float(value) if value in WORDS else value
