"""JSON that any program can read, and the check that what is read back has the form in which it was written.

JSON has no number that is not finite: such a number is written as its word, "NaN", "Infinity" or "-Infinity", and such
a word is read as that number where a form has a number.

A form is a type; ``float`` stands for a number, and ``object`` for anything. ``[form]`` is a list of any length,
``{str: form}`` a mapping from any names, and ``{"name": form, ...}`` a mapping that has at least these names.
"""

import json
import math
import reprlib
from typing import Any

from mixlab.spec import border

NAMES = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}
WORDS = ("NaN", "Infinity", "-Infinity")  # which ``float`` understands


def dumps(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON, with Python's numbers for those of NumPy, and words for those that are not finite."""
    return json.dumps(_in_words(border.plain(value)), indent=indent, allow_nan=False, default=border.plain)


def loads(text: str | bytes, form: Any) -> Any:
    """Return what JSON holds; raise ``ValueError``, whose text says what is wrong, unless it has the ``form``."""
    return shaped(json.loads(text), form)


def shaped(value: Any, form: Any, what: str = "it") -> Any:
    """Return a value with numbers for their words; raise ``ValueError`` for ``what`` has not the ``form``."""
    if form is object:
        return _in_numbers(value)
    if form is float and value in WORDS:
        return float(value)
    _require_kind(value, form if isinstance(form, type) else type(form), what)
    if isinstance(form, list):
        return [shaped(each, form[0], f"an entry of {what}") for each in value]
    if not isinstance(form, dict):
        return value
    if str in form:
        return {name: shaped(each, form[str], f"{name!r} of {what}") for name, each in value.items()}
    if lacking := [name for name in form if name not in value]:
        raise ValueError(f"{what} lacks {lacking[0]!r}")
    return value | {name: shaped(value[name], part, name) for name, part in form.items()}


def _require_kind(value: Any, kind: type, what: str) -> None:
    if not border.is_a(kind, value):
        raise ValueError(f"{what} must be {NAMES[kind]}, got {reprlib.repr(value)}")


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
