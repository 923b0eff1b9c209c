"""The rules that make one value of a run from the values of its epochs, and their wording.

``last`` is the value of the last epoch; ``medianN`` the median of the last N, or of all if there are fewer;
``best`` the best of all epochs and ``bestN`` of the last N. A rule that looks at a value that is not a number gives
none either. For a metric of a test set the two best ones choose the epoch on that set, and their wording says so.
"""

import math
import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from mixlab.errors import BadInput, quoted

RULE = re.compile(r"(last|best|best[1-9]\d*|median[1-9]\d*)")
CHOSEN = "chosen on the test set"


def require_rule(rule: Any, metric: str) -> None:
    """Raise ``BadInput`` unless ``rule`` is one."""
    if not isinstance(rule, str) or not RULE.fullmatch(rule):
        raise BadInput(
            f"the metric {metric!r} has an unknown rule {quoted(rule)}; rules are last, best, bestN and medianN"
        )


def value(rule: str, values: Sequence[float], best: Callable[[Sequence[float]], float] = max) -> float:
    """Return the one value that a rule makes of those of all epochs, of which there is one at least.

    By the direction of the metric, ``best`` is ``max`` or ``min``.
    """
    if rule == "last":
        return values[-1]
    latest = values[-_window(rule) :]
    if any(math.isnan(each) for each in latest):
        return math.nan
    return statistics.median(latest) if rule.startswith("median") else best(latest)


def words(rule: str, epochs: int | None = None) -> str:
    """Return the rule in words, such as ``median of the last 10 epochs``; a run of 3 ``epochs`` has no last 10."""
    if rule == "last":
        return "last epoch"
    window = _window(rule)
    every = window == 0 or (epochs is not None and epochs <= window)
    if every and epochs == 1:
        return "the only epoch"
    which = "all epochs" if every else "the last epoch" if window == 1 else f"the last {window} epochs"
    return f"median of {which}" if rule.startswith("median") else f"best of {which}, {CHOSEN}"


def _window(rule: str) -> int:
    """Return N of ``medianN`` and ``bestN``; 0, which stands for all epochs, of ``best``."""
    return int(re.sub(r"\D", "", rule) or 0)
