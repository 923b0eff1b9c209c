"""The metric behind the name of a logged number, as the plan of the study declares it."""

from collections.abc import Mapping
from typing import Any

from mixlab.spec.metric import Metric, find

UNKNOWN_DIGITS = 4  # the decimals of a metric that nobody declared


def metric_of(plan: Mapping[str, Any], name: str) -> Metric:
    """Return the metric behind a logged name such as ``test_top1_median10``.

    A name that the trainable did not declare is a metric without unit and direction: it can be shown, but no gain in
    it is a win.
    """
    declared = [Metric(**{**fields, "rules": tuple(fields["rules"])}) for fields in plan.get("metrics", ())]
    return find(declared, name) or Metric(name, digits=UNKNOWN_DIGITS)


def rule_of(metric: Metric, name: str) -> str:
    """Return the rule in a logged name, such as ``median10``; empty where the name is the metric's own."""
    return "" if name == metric.name else name.removeprefix(f"{metric.name}_")
