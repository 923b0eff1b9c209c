"""A metric that a trainable reports after every epoch: its unit, its direction, and rules that make one value of it.

A rule turns the values of all epochs into one number of the run. The name of that number carries the rule:
``test_top1_median10`` is the metric ``test_top1`` by the rule ``median10``. ``last`` is the value of the last epoch;
``medianN`` the median of the last N, or of all if there are fewer; ``best`` the best of all epochs and ``bestN`` of the
last N. A rule that looks at a value that is not a number gives none either. The two best ones choose the epoch by the
metric itself, such as on the test set, and their wording says so.
"""

import math
import re
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from mixlab.errors import BadInput, require
from mixlab.spec import user_input
from mixlab.spec.user_input import checked_arguments

RULE = re.compile(r"(last|best|best[1-9]\d*|median[1-9]\d*)")
MOST_DIGITS = 15  # a float has no more
BEYOND = 1e12  # from this size on, decimals say nothing
ROUNDING = 1e-12  # up to this size, a number comes from the last bits of others


@checked_arguments
@dataclass(frozen=True)
class Metric:
    """A number that a trainable reports.

    Args:
        name: the key under which it is reported.
        unit: the unit written after its values, such as ``%``; empty for a number without a unit.
        digits: the number of decimals that are shown.
        higher_is_better: the direction; None for a number that is only logged, such as a time.
        rules: the rules that make one value of a run from all epochs: ``last``, ``best``, ``bestN``, ``medianN``.
        label: its name for people, such as ``top-1 accuracy``; by default its name in words.
    """

    name: str
    unit: str = ""
    digits: int = 2
    higher_is_better: bool | None = None
    rules: tuple[str, ...] = ()
    label: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(self.rules) if isinstance(self.rules, list) else self.rules)
        if isinstance(self.name, str) and not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " "))

    def check(self) -> "Metric":
        """Return the metric itself.

        Raises:
            BadInput: MLflow cannot record its name, a field has the wrong type, a rule is unknown, or ``best`` is asked
                for without a direction.
        """
        user_input.require_name("a metric", self.name)
        user_input.check_fields(self, f"the metric {self.name!r}")
        fits = 0 <= self.digits <= MOST_DIGITS
        require(fits, f"digits of the metric {self.name!r}", f"from 0 to {MOST_DIGITS}", self.digits)
        for rule in self.rules:
            if not RULE.fullmatch(rule):
                what = f"the metric {self.name!r} has an unknown rule {rule!r}"
                raise BadInput(f"{what}; rules are last, best, bestN and medianN")
            if rule.startswith("best") and self.higher_is_better is None:
                raise BadInput(f"the rule {rule!r} of the metric {self.name!r} needs higher_is_better, got None")
        for name in self.names:
            user_input.require_recordable(f"a trainable has the metric {name!r}", name)
        return self

    @classmethod
    def like(cls, other: Any) -> "Metric":
        """Return ``other``, an object with the same fields, as a ``Metric``; raise ``BadInput`` if it has no name."""
        require(hasattr(other, "name"), "a trainable's metrics", "of the type Metric", other)
        return cls(**{each.name: getattr(other, each.name) for each in fields(cls) if hasattr(other, each.name)})

    @property
    def names(self) -> tuple[str, ...]:
        """Return the metric's own name, and one name for each rule."""
        return (self.name, *(f"{self.name}_{rule}" for rule in self.rules))

    def summary(self, values: list[float]) -> dict[str, float]:
        """Return the value of ``NAME_RULE`` for every rule, from the values of all epochs in order."""
        best = max if self.higher_is_better else min
        return {f"{self.name}_{rule}": value_by(rule, values, best) for rule in self.rules}

    def text(self, value: float) -> str:
        """Return ``value`` with its decimals and its unit, such as ``78.17 %``, or ``not a number``."""
        if math.isnan(value):
            return "not a number"
        return decimals(value, self.digits) + (f" {self.unit}" if self.unit else "")

    def json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return {**asdict(self), "rules": list(self.rules)}


def decimals(value: float, digits: int, sign: str = "") -> str:
    """Return ``value`` with so many decimals; a huge one, of which they say nothing, as a power of ten.

    One that these decimals would round to zero has its first two digits instead: a small difference may be a win, and a
    metric may be small in all arms. The ``sign`` of a difference is ``+``.
    """
    if abs(value) >= BEYOND:
        return f"{value:{sign}.4g}"
    text = f"{value:{sign}z.{digits}f}"
    return f"{value:{sign}.2g}" if float(text) == 0 and abs(value) > ROUNDING else text


def find(metrics: Iterable[Metric], name: str) -> Metric | None:
    """Return the metric with the name ``name``, its own or that of one of its rules; None if there is none."""
    return next((metric for metric in metrics if name in metric.names), None)


def checked(given: Any) -> tuple[Metric, ...]:
    """Return the metrics that a trainable declares, objects with the fields of ``Metric``, each in order.

    Raises:
        BadInput: one of them is wrong, or two have a name in common, or names that differ in the case of letters
            only, which some databases and file systems take for one.
    """
    several = isinstance(given, Iterable) and not isinstance(given, str)
    require(several, "the metrics of a trainable", "a list or tuple, such as (Metric('loss'),)", given)
    metrics = tuple(Metric.like(metric).check() for metric in given)
    seen: dict[str, str] = {}
    for name in (name for metric in metrics for name in metric.names):
        if (other := seen.setdefault(name.casefold(), name)) != name:
            raise BadInput(f"two metrics are named {other!r} and {name!r}, which some stores take for one: rename one")
    user_input.require_different("two metrics", [name for metric in metrics for name in metric.names])
    return metrics


def value_by(rule: str, values: Sequence[float], best: Callable[[Sequence[float]], float] = max) -> float:
    """Return the one value that a rule makes of those of all epochs, of which there is one at least.

    By the direction of the metric, ``best`` is ``max`` or ``min``.
    """
    if rule == "last":
        return values[-1]
    latest = values[-_window(rule) :]
    if any(math.isnan(each) for each in latest):
        return math.nan
    return statistics.median(latest) if rule.startswith("median") else best(latest)


def rule_in_words(rule: str, epochs: int | None = None, data: str = "same data") -> str:
    """Return the rule in words, such as ``median of the last 10 epochs``; a run of 3 ``epochs`` has no last 10.

    A best epoch is chosen on the ``data`` that it is the best of.
    """
    if rule == "last":
        return "last epoch"
    if epochs == 1:
        return "the only epoch"
    window = _window(rule)
    every = window == 0 or (epochs is not None and epochs <= window)
    which = "all epochs" if every else "the last epoch" if window == 1 else f"the last {window} epochs"
    return f"median of {which}" if rule.startswith("median") else f"best of {which}, chosen on the {data}"


def _window(rule: str) -> int:
    """Return N of ``medianN`` and ``bestN``; 0, which stands for all epochs, of ``best``."""
    return int(re.sub(r"\D", "", rule) or 0)
