"""Our means next to those that a paper has published."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.records.published import PublishedNumber

Published = Mapping[tuple[Any, ...], PublishedNumber]  # by (level of each factor ..., arm)


def compare_with_published(table: pd.DataFrame, published: Mapping[str, PublishedNumber]) -> pd.DataFrame:
    """Return our means next to the paper's values.

    Args:
        table: one row per arm, with ``mean``, ``mean_low`` and ``mean_high``.
        published: the paper's number by arm; an arm without one gets NaN.

    Returns:
        The table with ``published``, ``published_rule``, ``source``, ``difference`` (ours minus theirs) and ``inside``:
        whether the paper's value lies in the 95 % t interval of our mean; missing where either is missing.
    """
    arms = table.index.to_series()
    theirs = arms.map({arm: number.value for arm, number in published.items()}).astype(float)
    inside = theirs.between(table["mean_low"], table["mean_high"]).astype("boolean")
    return table.assign(
        published=theirs,
        published_rule=arms.map({arm: number.rule for arm, number in published.items()}),
        source=arms.map({arm: number.source for arm, number in published.items()}),
        difference=table["mean"] - theirs,
        inside=inside.where(theirs.notna() & table["mean_low"].notna()),
    )
