"""The report of a trainable after an epoch."""

import operator
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any, TypeVar

from mixlab.errors import BadInput, storable
from mixlab.spec import user_input
from mixlab.spec.metric import Metric
from mixlab.spec.trainable import Save

# A word is recorded as the tag ``mixlab.NAME``; these are the tags by which a run is found and named.
OWN_TAGS = (
    *("level", "study", "plan", "cell", "arm", "key", "seed", "trial", "state", "best", "error"),
    *("commit", "dirty", "patch", "constraints", "versions", "command", "table_seeds"),
)
THEN = " and then "  # stands between the words of the parts of a run
Converted = TypeVar("Converted")


class Refused(ValueError):
    """A report is not an epoch; the sentence says what is wrong with it."""


@dataclass(frozen=True)
class Epoch:
    """One finished epoch.

    Args:
        number: the number of the epoch, from 1.
        of: the number of epochs of the run.
        metrics: real numbers, by name.
        words: how the numbers were obtained, such as the fingerprint of the data and the hardware; recorded as tags.
        histograms: by name, the shares of their bins.
    """

    number: int
    of: int
    metrics: Mapping[str, float]
    words: Mapping[str, str] = field(default_factory=dict)
    histograms: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def last(self) -> bool:
        """Return whether no epoch follows."""
        return self.number >= self.of

    @property
    def in_words(self) -> str:
        """Return words such as ``epoch 3 of 10``; those of a search's trial count through all of its seeds."""
        return f"epoch {self.number} of {self.of}"


def epoch_of(reported: Any) -> Epoch:
    """Return a report, any object with the attributes of an epoch, as an ``Epoch``.

    Raises:
        Refused: a metric is not one real number, of Python, numpy or torch; a metric or word has a name that MLflow
            cannot record, or a word that of one of Mixlab's own tags; a histogram is not made of numbers; the epoch's
            number is not one of ``of``.
    """
    missing = [name for name in ("number", "of", "metrics") if not hasattr(reported, name)]
    if missing or not isinstance(reported.metrics, Mapping):
        raise Refused(f"an epoch is reported with number, of and a mapping of metrics, got {reprlib.repr(reported)}")
    number, of = (
        _converted(f"{name!r} of an epoch", "a whole number", operator.index, getattr(reported, name))
        for name in ("number", "of")
    )
    if not 1 <= number <= of:
        raise Refused(f"the number of an epoch must be from 1 to {of}, got {number}")
    words, histograms = (
        _converted(f"the {name} of an epoch", "a mapping from names", dict, getattr(reported, name, None) or {})
        for name in ("words", "histograms")
    )
    if own := [name for name in words if str(name) in OWN_TAGS]:
        raise Refused(f"the word {own[0]!r} was reported, but a tag of Mixlab's own has that name: give it another")
    return Epoch(
        number,
        of,
        {
            _recordable("metric", name): _converted(f"the metric {name!r}", "a real number", _real, value)
            for name, value in reported.metrics.items()
        },
        {_recordable("word", name): storable(str(value)) for name, value in words.items()},
        {
            str(name): _converted(f"the histogram {name!r}", "the shares of its bins", _shares, value)
            for name, value in histograms.items()
        },
    )


def save_of(given: Any) -> Save:
    """Return the function with which an epoch is reported, by which a run is saved; ``Refused`` if it is none."""
    if not callable(given):
        raise Refused(f"an epoch is reported with a function that saves the run to a folder, got {given!r}")
    save: Save = given
    return save


def _converted(what: str, valid: str, convert: Callable[[Any], Converted], value: Any) -> Converted:
    """Return a value as ``convert`` does, or refuse it."""
    try:
        return convert(value)
    except Exception:  # whatever Python, numpy or torch raises
        raise Refused(f"{what} must be {valid}, got {reprlib.repr(value)}") from None


def _real(value: Any) -> float:
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, Real):
        raise TypeError
    return float(number)


def _shares(value: Any) -> tuple[float, ...]:
    return tuple(float(share) for share in value)


def _recordable(what: str, name: Any) -> str:
    try:
        user_input.require_recordable(f"the {what} {name!r} was reported", str(name))
    except BadInput as error:
        raise Refused(str(error)) from None
    return str(name)


def from_json(fields: Mapping[str, Any]) -> Epoch:
    """Return the epoch whose ``vars`` ``json_form`` has written, which has words for numbers that are not finite."""
    metrics = {name: float(value) for name, value in fields["metrics"].items()}
    histograms = {name: tuple(map(float, shares)) for name, shares in fields["histograms"].items()}
    return Epoch(**{**fields, "metrics": metrics, "histograms": histograms})


def continued(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return how the numbers of a run were obtained that another process has begun: "A and then B" if it has changed.

    Each part is named once, where it came first: a run may go to and fro between two kinds of machine a hundred times.
    """
    changed = {name: text for name, text in now.items() if text not in before.get(name, text).split(THEN)}
    return {**now, **before, **{name: before[name] + THEN + text for name, text in changed.items()}}


def summarised(epochs: Sequence[Epoch], metrics: Sequence[Metric]) -> Epoch:
    """Return the last of ``epochs`` with one more value for each rule of ``metrics``.

    A resumed run passes all its epochs, so that its values are those of a run that was never interrupted. Epochs
    without the metric are left out.
    """
    found: dict[str, float] = {}
    for metric in metrics:
        if metric.name in epochs[-1].metrics:
            found |= metric.summary([e.metrics[metric.name] for e in epochs if metric.name in e.metrics])
    return replace(epochs[-1], metrics={**epochs[-1].metrics, **found})
