"""Histograms that a trainable reports, apart from its curves: MLflow's UI would draw a chart of every single bin.

A bin is reported as a metric called ``NAME/NUMBER``, such as ``lam_drawn/0``. A finished run has them all in one
artifact, ``histograms.json``: ``{"epochs": [1, ...], "lam_drawn": [[bins of epoch 1], ...], ...}``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

FILE = "histograms.json"
DIGITS = 6  # of a share


def is_bin(name: str) -> bool:
    """Whether a reported number is a bin of a histogram."""
    stem, _, place = name.rpartition("/")
    return bool(stem) and place.isdigit()


def collect(epochs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """What ``histograms.json`` holds, from the metrics of every epoch; empty where the last has no histogram."""
    bins: dict[str, list[str]] = {}
    for name in sorted(filter(is_bin, epochs[-1]), key=lambda name: int(name.rpartition("/")[2])):
        bins.setdefault(name.rpartition("/")[0], []).append(name)
    if not bins:
        return {}
    shares = {
        stem: [[round(epoch[name], DIGITS) for name in names] for epoch in epochs] for stem, names in bins.items()
    }
    return {"epochs": [epoch["epoch"] for epoch in epochs], **shares}
