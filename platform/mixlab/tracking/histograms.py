"""Histograms that a trainable reports, apart from its curves: MLflow's UI would draw a chart of every single bin.

A finished run has them all in one artifact, ``histograms.json``:
``{"epochs": [1, ...], "lam_drawn": [[shares of epoch 1], ...], ...}``.
"""

from collections.abc import Sequence
from typing import Any

from mixlab.spec.epoch import Epoch

DIGITS = 6  # the decimals of a share


def collect(epochs: Sequence[Epoch]) -> dict[str, list[Any]]:
    """Return the content of ``histograms.json``; it is empty if the last epoch has no histogram."""
    found: dict[str, list[Any]] = {
        name: [[round(share, DIGITS) for share in epoch.histograms[name]] for epoch in epochs]
        for name in sorted(epochs[-1].histograms)
    }
    return {"epochs": [epoch.number for epoch in epochs], **found} if found else {}
