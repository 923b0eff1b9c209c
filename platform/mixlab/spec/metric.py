"""A metric that a trainable reports after every epoch: its unit, its direction, and rules that make one value of it.

A rule turns the values of all epochs into one number of the run. The name of that number carries the rule:
``test_top1_median10`` is the metric ``test_top1`` by the rule ``median10``.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from mixlab.errors import BadInput
from mixlab.spec import rules


class MetricLike(Protocol):
    """Anything with the fields of ``Metric``; a trainable need not import mixlab to declare its metrics."""

    name: str
    unit: str
    digits: int
    higher_is_better: bool | None
    rules: tuple[str, ...]
    label: str


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
        object.__setattr__(self, "rules", tuple(self.rules))
        object.__setattr__(self, "label", self.label or str(self.name).replace("_", " "))

    def check(self) -> "Metric":
        """Return the metric itself.

        Raises:
            BadInput: its name is empty, a rule is unknown, or ``best`` is asked for without a direction.
        """
        if not isinstance(self.name, str) or not self.name.strip():
            raise BadInput(f"a metric needs a name, got {self.name!r}")
        for rule in self.rules:
            rules.require_rule(rule, self.name)
            if rule.startswith("best") and self.higher_is_better is None:
                raise BadInput(f"the rule {rule!r} of the metric {self.name!r} needs higher_is_better, got None")
        return self

    @classmethod
    def like(cls, other: MetricLike) -> "Metric":
        """Return ``other``, an object with the same fields, as a ``Metric``."""
        names = ("name", "unit", "digits", "higher_is_better", "rules", "label")
        return cls(**{name: getattr(other, name) for name in names if hasattr(other, name)})

    @property
    def names(self) -> tuple[str, ...]:
        """Return the metric's own name, and one name for each rule."""
        return (self.name, *(f"{self.name}_{rule}" for rule in self.rules))

    def summary(self, values: list[float]) -> dict[str, float]:
        """Return the value of ``NAME_RULE`` for every rule, from the values of all epochs in order."""
        best = max if self.higher_is_better else min
        return {f"{self.name}_{rule}": rules.value(rule, values, best) for rule in self.rules}

    def text(self, value: float) -> str:
        """Return ``value`` with its decimals and its unit, such as ``78.17 %``."""
        return f"{value:.{self.digits}f}" + (f" {self.unit}" if self.unit else "")

    def json(self) -> dict[str, Any]:
        """Return the fields, ready for JSON."""
        return {**asdict(self), "rules": list(self.rules)}


def find(metrics: Iterable[Metric], name: str) -> Metric | None:
    """Return the metric with the name ``name``, its own or that of one of its rules; None if there is none."""
    return next((metric for metric in metrics if name in metric.names), None)
