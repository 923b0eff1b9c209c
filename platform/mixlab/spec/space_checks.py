"""Checks the space of a search before anything starts."""

import sys
from collections.abc import Mapping
from typing import Any

from mixlab.errors import BadInput, quoted, require, require_known
from mixlab.spec import border
from mixlab.spec.space import Choice, Float, Int, Space, describe, ordered

MOST_WHOLE = 2**53  # above it the samplers, which compute in floats, would miss numbers


def check_conditions(space: Space, config: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` for a condition that can never hold in an arm with this resolved configuration."""
    ordered(space)
    for key, values in space.items():
        for other, wanted in values.when.items():
            fits = isinstance(wanted, tuple | list) and wanted
            require(fits, f"the condition of {key} on {other}", "a tuple such as ('su',)", wanted)
            if other not in space:
                require_known(f"key in the condition of {key},", other, [*space, *config])
            elif isinstance(choice := space[other], Choice) and not any(value in choice.values for value in wanted):
                known = ", ".join(map(repr, choice.values))
                raise BadInput(
                    f"the condition of {key} wants {other} in {quoted(list(wanted))}, whose choice is {known}"
                )
            elif not isinstance(choice, Choice) and not any(_may_be(choice, value) for value in wanted):
                drawn = f"which a draw from {describe(choice)} never is"
                raise BadInput(f"the condition of {key} wants {other} in {quoted(list(wanted))}, {drawn}")


def _may_be(values: Float | Int, wanted: Any) -> bool:
    """Return whether a range of numbers may give just this one; a continuous one never gives a certain number."""
    stepped = isinstance(values, Int) or values.step is not None
    return stepped and isinstance(wanted, int | float) and values.low <= wanted <= values.high


def check(space: Space) -> None:
    """Raise ``BadInput`` for an empty space, and for a range that is empty, inverted or impossible."""
    border.require_mapping("the space of a search", "from keys to ranges", space)
    if not space:
        raise BadInput("the space of the search is empty: give at least one key to vary")
    for key, values in space.items():
        border.configuration({key: None}, "the space of a search")
        require(isinstance(values, Float | Int | Choice), f"the range of {key}", "a Float, an Int or a Choice", values)
        if not isinstance(values.when, Mapping) or not all(isinstance(other, str) for other in values.when):
            raise BadInput(f"the condition of {key} must map keys to values, got {quoted(values.when)}")
        if isinstance(values, Choice):
            _check_choice(key, values)
        else:
            _check_interval(key, values)


def _check_choice(key: str, values: Choice) -> None:
    if len(values.values) < 2:
        raise BadInput(f"the choice of {key} needs at least 2 values, got {quoted(list(values.values))}")
    for value in values.values:
        require(
            isinstance(value, str | int | float | bool | None),
            f"a choice of {key}",
            "text, a number, true, false or None",
            value,
        )
    for place, value in enumerate(values.values):
        if any(value == other or str(value) == str(other) for other in values.values[:place]):
            raise BadInput(f"the choice of {key} has the value {value!r} twice: {list(values.values)}")


def _check_interval(key: str, values: Float | Int) -> None:
    low, high, step = values.low, values.high, values.step
    border.require_flag(f"log of the range of {key}", values.log)
    for number in (low, high) if step is None else (low, high, step):
        _require_number(key, number, whole=isinstance(values, Int))
    if isinstance(values, Int) and max(abs(low), abs(high)) > MOST_WHOLE:
        raise BadInput(f"the range of {key} must be within {-MOST_WHOLE} and {MOST_WHOLE}, got {low} to {high}")
    if low == high:
        raise BadInput(f"the range of {key} is empty: low and high are both {low:g}; put a fixed value into the base")
    if low > high:
        raise BadInput(f"the range of {key} is inverted: low {low:g} is above high {high:g}")
    if values.log and low <= 0:
        raise BadInput(f"the range of {key} has a log scale, which cannot reach {low:g}: low must be above 0")
    if step is not None and not 0 < step <= high - low:
        raise BadInput(f"the step of {key} must be above 0 and at most {high - low:g}, got {step:g}")
    if values.log and step is not None and not (isinstance(values, Int) and step == 1):
        raise BadInput(f"the range of {key} has a log scale and the step {step:g}: only one of the two is possible")


def _require_number(key: str, number: Any, *, whole: bool) -> None:
    fits = isinstance(number, int if whole else int | float) and not isinstance(number, bool)
    if not fits or not abs(number) <= sys.float_info.max:
        raise BadInput(f"the range of {key} must be of finite {'whole ' * whole}numbers, got {quoted(number)}")
