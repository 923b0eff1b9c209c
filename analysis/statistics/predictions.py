"""Tests and measures of single images from the saved logits of a study's runs, without a GPU or any new training.

Letters: S seeds, N test images, L classes. Logits are (S, N, L) of one arm, labels (N,).

McNemar's test is from Q. McNemar, "Note on the sampling error of the difference between correlated proportions"
(Psychometrika 1947).
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import stats
from scipy.special import softmax

from analysis.statistics.significance import ALPHA, family_p, mean_interval, sign_flip_p
from trainables.robustness.calibration import calibration_error, reliability

LOGITS = NDArray[np.floating]


class Uncertainty(NamedTuple):
    """The uncertainty of a gain, in percentage points, by the source of randomness."""

    gain: float
    seeds: float  # standard error over seeds, for this test set
    images: float  # standard error over test images, for these seeds
    both: float


class Calibration(NamedTuple):
    """The measures of how well the confidence of one predictor fits its accuracy."""

    ece: float  # expected calibration error with 15 bins of equal width, percent
    nll: float  # mean negative log-likelihood, nats


def correct(logits: LOGITS, labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which images each seed classifies correctly, (S, N)."""
    return np.asarray(logits.argmax(axis=-1) == labels)


def mcnemar(arm: NDArray[np.bool_], reference: NDArray[np.bool_]) -> pd.DataFrame:
    """Return the exact two-sided McNemar test of every seed, over its test images.

    It asks whether these two networks differ on such images; it says nothing about other seeds. Both arguments (S, N)
    say which images the arm and its reference classify correctly. The columns are ``better`` (images that only the arm
    gets right), ``worse`` (that only the reference does) and ``p``.
    """
    better, worse = (arm & ~reference).sum(axis=1), (~arm & reference).sum(axis=1)
    pairs = zip(better.tolist(), worse.tolist(), strict=True)
    p = [float(stats.binomtest(b, b + w).pvalue) if b + w else 1.0 for b, w in pairs]
    return pd.DataFrame({"better": better, "worse": worse, "p": p})


def uncertainty(arm: NDArray[np.bool_], reference: NDArray[np.bool_]) -> Uncertainty:
    """Return the uncertainty of a gain from the seeds, and that from the test images; arguments as `mcnemar`.

    The differences (S, N) are split as in a two-way layout: the means of the seeds vary by the seeds, those of the
    images by the images, and what is left over counts once. A part whose estimate is negative counts as 0, so that the
    error over both is at least that over either.
    """
    d = 100.0 * (arm.astype(float) - reference.astype(float))
    seeds, images = d.shape
    of_images = d.mean(axis=0).var(ddof=1) / images
    if seeds == 1:
        return Uncertainty(float(d.mean()), math.nan, math.sqrt(of_images), math.nan)
    of_seeds = d.mean(axis=1).var(ddof=1) / seeds
    left = d - d.mean(axis=1, keepdims=True) - d.mean(axis=0, keepdims=True) + d.mean()
    rest = float((left**2).sum() / ((seeds - 1) * (images - 1)) / (seeds * images))
    both = math.sqrt(max(of_seeds, rest) + max(of_images, rest) - rest)
    return Uncertainty(float(d.mean()), math.sqrt(of_seeds), math.sqrt(of_images), both)


def class_gains(arm: NDArray[np.bool_], reference: NDArray[np.bool_], labels: NDArray[np.integer]) -> pd.DataFrame:
    """Return the gain in the accuracy of every class, paired by seed, the classes being one family.

    Arguments as `mcnemar`, and the labels (N,).

    Returns:
        Index ``class``; columns ``images``, ``gain``, ``low``, ``high`` (percentage points, 95 % t interval), ``p``
        (exact sign flip), ``p_family`` (over the classes) and ``differs``.
    """
    d = 100.0 * (arm.astype(float) - reference.astype(float))
    classes = np.unique(labels)
    by_class = np.array([d[:, labels == number].mean(axis=1) for number in classes])  # (L, S)
    intervals = [mean_interval(row) for row in by_class]
    table = pd.DataFrame(intervals, pd.Index(classes, name="class"), ["gain", "low", "high"])
    table.insert(0, "images", [int((labels == number).sum()) for number in classes])
    p_family = family_p(by_class)
    return table.assign(p=[sign_flip_p(row) for row in by_class], p_family=p_family, differs=p_family < ALPHA)


def agreement(logits: LOGITS) -> float:
    """Return the share of images, in percent, on which two seeds of an arm agree, over all pairs; NaN for one seed."""
    predicted = logits.argmax(axis=-1)  # (S, N)
    first, second = np.triu_indices(len(predicted), k=1)
    return 100.0 * float((predicted[first] == predicted[second]).mean()) if len(first) else math.nan


def calibration(predicted: NDArray[np.float64], labels: NDArray[np.integer]) -> Calibration:
    """Return the calibration of the probabilities (N, L) of one predictor: of one seed, or the mean over seeds."""
    logs = np.log(np.maximum(predicted, np.finfo(float).tiny))
    bins = reliability(torch.from_numpy(logs), torch.from_numpy(np.asarray(labels, dtype=np.int64)))
    return Calibration(calibration_error(bins), float(-logs[np.arange(len(labels)), labels].mean()))


def probabilities(logits: LOGITS) -> NDArray[np.float64]:
    """Return the softmax over the classes, in float64."""
    return np.asarray(softmax(logits.astype(np.float64), axis=-1))
