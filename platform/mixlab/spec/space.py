"""The space of a search: the range of each configuration key, when it applies, and what it must be.

    space = {
        "sumix.zeta": Float(0.05, 2, log=True),
        "mixer.alpha": Float(0.1, 4, log=True),
        "sumix.regulariser": Choice("none", "su"),
        "sumix.sem_scale": Float(0.5, 2, when={"sumix.regulariser": ("su",)}),
    }

If the ``when`` of a key does not hold, the key keeps its value from the base and the arm. The order of the keys does
not matter: a key is drawn after those that its condition looks at.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mixlab.errors import BadInput, require, require_known
from mixlab.spec import user_input
from mixlab.spec.user_input import checked_arguments

MOST_WHOLE = 2**53  # above it the samplers, which compute in floats, would miss numbers
OF_GRID = "the sampler 'grid' makes"
Condition = Mapping[str, tuple[Any, ...]]  # by key, the values for which a range applies
Point = dict[str, Any]


@checked_arguments
@dataclass(frozen=True)
class Float:
    """Real numbers from ``low`` to ``high``, both included.

    Args:
        low: the smallest value.
        high: the largest value.
        log: whether the logarithm is searched evenly, as suits a range over several powers of ten.
        step: the distance between two values; any real number if it is None.
        when: by key, the values for which the range applies; for others the key keeps its value from base and arm.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None
    when: Condition = field(default_factory=dict)


@checked_arguments
@dataclass(frozen=True)
class Int:
    """Whole numbers from ``low`` to ``high``, both included; the arguments are those of ``Float``."""

    low: int
    high: int
    log: bool = False
    step: int = 1
    when: Condition = field(default_factory=dict)


@checked_arguments
@dataclass(frozen=True, init=False)
class Choice:
    """One of several values, such as ``Choice(0.0, 1e-4, 5e-4)``; ``when`` is that of ``Float``."""

    values: tuple[Any, ...]
    when: Condition

    def __init__(self, *values: Any, when: Condition | None = None) -> None:
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "when", when or {})


Range = Float | Int | Choice
Space = Mapping[str, Range]


def short(value: Any) -> str:
    """Return a value of a point, or of an objective, in few digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def suggest(space: Space, config: Mapping[str, Any], trial: Any) -> Point:
    """Return a value, which a trial of Optuna proposes, of every key that applies to an arm with this configuration."""

    def drawn(key: str) -> Any:
        values = space[key]
        if isinstance(values, Choice):
            return trial.suggest_categorical(key, values.values)
        ask = trial.suggest_float if isinstance(values, Float) else trial.suggest_int
        return ask(key, values.low, _last(values), step=values.step, log=values.log)

    return _applying(space, config, drawn)


def corners(space: Space, config: Mapping[str, Any]) -> Iterator[Point]:
    """Yield points that show whether all of ``space`` can be run: the ends of every range and each choice."""
    values = {key: list(r.values) if isinstance(r, Choice) else [r.low, _last(r)] for key, r in space.items()}
    for row in range(max(map(len, values.values()))):
        full = {key: some[min(row, len(some) - 1)] for key, some in values.items()}
        yield _applying(space, config, full.__getitem__)


def grid(space: Space, config: Mapping[str, Any]) -> list[Point]:
    """Return every point of a space that applies to ``config``, once; ``BadInput`` if they are too many to be tried."""
    axes = [_levels(key, values) for key, values in space.items()]
    user_input.require_few(OF_GRID, math.prod(map(len, axes)))
    full = (dict(zip(space, each, strict=True)) for each in itertools.product(*axes))
    points = (_applying(space, config, values.__getitem__) for values in full)
    return [dict(point) for point in dict.fromkeys(tuple(point.items()) for point in points)]


def ordered(space: Space) -> list[str]:
    """Return the keys as written, each after those that its condition looks at; ``BadInput`` if they form a circle."""
    order: list[str] = []
    left = list(space)
    while left:
        ready = next((key for key in left if not set(space[key].when) & set(left)), None)
        if ready is None:
            raise BadInput(f"the conditions of {', '.join(left)} look at one another: one of them must do without")
        order.append(ready)
        left.remove(ready)
    return order


def describe(values: Range) -> str:
    """Return the range in words, such as ``0.05 to 2 on a log scale``."""
    if isinstance(values, Choice):
        text = " | ".join(str(value) for value in values.values)
    else:
        step = "" if values.step == type(values).step else f", steps of {values.step:g}"
        text = f"{values.low:g} to {values.high:g}{' on a log scale' if values.log else ''}{step}"
    conditions = (f"{key} is {' or '.join(map(str, wanted))}" for key, wanted in values.when.items())
    return text + (f", where {' and '.join(conditions)}" if values.when else "")


def _applies(values: Range, config: Mapping[str, Any]) -> bool:
    return all(any(_equal(config.get(key), each) for each in wanted) for key, wanted in values.when.items())


def _equal(value: Any, wanted: Any) -> bool:
    """Return whether two values are equal but for rounding: 0.1 + 2 * 0.1, from steps of 0.1, equals 0.3."""
    numbers = isinstance(value, float) and isinstance(wanted, int | float)
    return math.isclose(value, wanted, abs_tol=1e-12) if numbers else bool(value == wanted)


def _applying(space: Space, config: Mapping[str, Any], value_of: Callable[[str], Any]) -> Point:
    """Return the value of each key whose condition holds; it also sees the values of other keys."""
    point: Point = {}
    for key in ordered(space):
        if _applies(space[key], {**config, **point}):
            point[key] = value_of(key)
    return point


def _last(values: Float | Int) -> float:
    """Return the largest number that is drawn from a range: its steps need not reach ``high``."""
    if values.step is None:
        return values.high
    low, high, step = (Fraction(str(each)) for each in (values.low, values.high, values.step))  # 0.3 - 0.1 is below 0.2
    return (int if isinstance(values, Int) else float)(high - (high - low) % step)


def _levels(key: str, values: Range) -> list[Any]:
    if isinstance(values, Choice):
        return list(values.values)
    if values.step is None:
        step = "" if values.log else "give it a step, "  # a log scale cannot have one
        raise BadInput(
            f"sampler 'grid' needs a finite range, but {key} is continuous ({describe(values)}): "
            f"{step}make it a Choice, or use the sampler 'qmc'"
        )
    last = _last(values)
    count = round((last - values.low) / values.step) + 1
    user_input.require_few(OF_GRID, count)
    return [min(values.low + i * values.step, last) for i in range(count)]  # 0.1 + 2 * 0.1 is above 0.3


def check_conditions(space: Space, config: Mapping[str, Any]) -> None:
    """Raise ``BadInput`` for a condition that can never hold in an arm with this resolved configuration."""
    ordered(space)
    conditions = [(key, other, wanted) for key, values in space.items() for other, wanted in values.when.items()]
    for key, other, wanted in conditions:
        fits = user_input.is_a(Sequence, wanted) and wanted
        require(fits, f"the condition of {key} on {other}", "a tuple such as ('su',)", wanted)
        if other not in space:
            require_known(f"key in the condition of {key},", other, [*space, *config])
        elif not any(_may_give(space[other], value) for value in wanted):
            raise BadInput(f"the condition of {key} wants {other} in {list(wanted)!r}, {_never(space[other])}")


def _never(values: Range) -> str:
    """Return why no value of a range is a wanted one, as the end of a sentence."""
    if isinstance(values, Choice):
        return f"whose choice is {', '.join(map(repr, values.values))}"
    return f"which a draw from {describe(values)} never is"


def _may_give(values: Range, wanted: Any) -> bool:
    """Return whether a range may give exactly this value; a continuous one gives no number for certain."""
    if isinstance(values, Choice):
        return wanted in values.values
    if values.step is None or not isinstance(wanted, int | float) or not values.low <= wanted <= values.high:
        return False
    nearest = values.low + round((wanted - values.low) / values.step) * values.step
    return _equal(nearest, wanted)


def check_space(space: Space) -> None:
    """Raise ``BadInput`` for an empty space, and for a range that is empty, inverted or impossible."""
    require(isinstance(space, Mapping), "the space of a search", "a mapping from keys to ranges", space)
    if not space:
        raise BadInput("the space of the search is empty: give at least one key to vary")
    for key, values in space.items():
        user_input.configuration({key: None}, "the space of a search")
        require(isinstance(values, Float | Int | Choice), f"the range of {key}", "a Float, an Int or a Choice", values)
        user_input.check_fields(values, f"the range of {key}")
        if isinstance(values, Choice):
            _check_choice(key, values)
        else:
            _check_interval(key, values)


def _check_choice(key: str, values: Choice) -> None:
    if len(values.values) < 2:
        raise BadInput(f"the choice of {key} needs at least 2 values, got {list(values.values)!r}")
    for place, value in enumerate(values.values):
        fits = isinstance(value, str | int | float | None)
        require(fits, f"a choice of {key}", "text, a number, true, false or None", value)
        if any(value == other or str(value) == str(other) for other in values.values[:place]):
            raise BadInput(f"the choice of {key} has the value {value!r} twice: {list(values.values)}")


def _check_interval(key: str, values: Float | Int) -> None:
    low, high, step, whole = values.low, values.high, values.step, isinstance(values, Int)
    most = MOST_WHOLE if whole else 1e300  # the width of a range must be finite too
    for number in (low, high):
        require(abs(number) <= most, f"the range of {key}", f"of numbers within {-most} and {most}", number)
    if low == high:
        raise BadInput(f"the range of {key} is empty: low and high are both {low:g}; put a fixed value into the base")
    if low > high:
        raise BadInput(f"the range of {key} is inverted: low {low:g} is above high {high:g}")
    if values.log and low <= 0:
        raise BadInput(f"the range of {key} has a log scale, which cannot reach {low:g}: low must be above 0")
    if step is not None and (step <= 0 or _last(values) == low):
        raise BadInput(f"the step of {key} must be above 0 and at most {high - low:g}, got {step:g}")
    if values.log and step != type(values).step:
        raise BadInput(f"the range of {key} has a log scale and the step {step:g}: only one of the two is possible")
