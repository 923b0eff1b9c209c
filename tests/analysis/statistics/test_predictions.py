"""Measures of stored predictions, by hand: McNemar, classes, agreement and ensembles."""

import math

import numpy as np
import pytest

from analysis.statistics import predictions
from analysis.statistics.predictions import agreement, class_gains, correct, mcnemar, probabilities, uncertainty
from analysis.statistics.significance import family_p


def test_mcnemar_by_hand():
    arm = np.array([[1, 1, 1, 1, 1, 0, 1, 0], [1, 0, 1, 0, 1, 0, 1, 0]], dtype=bool)
    reference = np.array([[0, 0, 0, 0, 0, 1, 1, 0], [1, 0, 1, 0, 1, 0, 1, 0]], dtype=bool)
    found = mcnemar(arm, reference)
    # Of 6 images that differ 5 are better: 2 (C(6, 5) + C(6, 6)) / 2^6 = 14/64. Two equal networks: p is 1.
    assert found.to_dict("list") == {"better": [5, 0], "worse": [1, 0], "p": [pytest.approx(14 / 64), 1.0]}


def test_uncertainty_by_hand():
    # Differences: seed 0: 1, 1, 0; seed 1: 0, 1, -1. The means of the seeds are 2/3 and 0, with a variance of 2/9, and
    # those of the images 1/2, 1 and -1/2, with 7/12. What is left over is 1/6, -1/3 and 1/6, and the same turned: 1/3
    # in squares, over 2 degrees of freedom.
    arm = np.array([[1, 1, 0], [0, 1, 0]], dtype=bool)
    reference = np.array([[0, 0, 0], [0, 0, 1]], dtype=bool)
    seeds, images, rest = 2 / 9 / 2, 7 / 12 / 3, 1 / 3 / 2 / 6
    both = seeds + images - rest
    assert uncertainty(arm, reference) == pytest.approx(100 * np.array([1 / 3, seeds**0.5, images**0.5, both**0.5]))
    one = uncertainty(arm[:1], reference[:1])
    assert (one.gain, one.images) == pytest.approx((200 / 3, 100 / 3))
    assert np.isnan([one.seeds, one.both]).all()
    turned = np.eye(2, dtype=bool)  # seeds and images differ only together: by 50, one degree of freedom
    assert uncertainty(turned, np.zeros((2, 2), dtype=bool)) == (50, 0, 0, pytest.approx(math.sqrt(4 * 50**2 / 4)))


def test_class_gains_are_a_family():
    rng = np.random.default_rng(1)
    labels = np.repeat(np.arange(3), 40)
    reference = rng.random((8, 120)) < 0.5
    arm = reference.copy()
    arm[:, :40] |= rng.random((8, 40)) < 0.5  # class 0 gains
    found = class_gains(arm, reference, labels)
    assert found["images"].tolist() == [40] * 3
    assert found["differs"].tolist() == [True, False, False]
    assert found["p"].iloc[0] == 2 / 2**8
    d = 100 * (arm.astype(float) - reference)
    by_class = d.reshape(8, 3, 40).mean(axis=2).T
    assert found["gain"].tolist() == pytest.approx(list(by_class.mean(axis=1)))
    assert found["p_family"].tolist() == pytest.approx(list(family_p(by_class)))


def logits_of(*classes):
    """Return logits (S, N, 3) of seeds that are sure of the given classes."""
    return np.eye(3, dtype=np.float16)[np.array(classes)] * 8


def test_agreement_and_ensemble_by_hand():
    logits, labels = logits_of([0, 1, 2, 0], [0, 1, 0, 1], [0, 2, 2, 2]), np.array([0, 1, 2, 2])
    assert correct(logits, labels).tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 1]]
    # Pairs of seeds agree on 2, 2 and 1 of 4 images; the majority is right on the first three.
    assert agreement(logits) == pytest.approx(100 * 5 / 12)
    assert correct(probabilities(logits[:, :3]).mean(axis=0), labels[:3]).all()
    assert math.isnan(agreement(logits[:1]))


def test_calibration_by_hand():
    # Confidences 0.9 (right), 0.9 (wrong) and 0.6 (right): gaps |1 - 1.8| and |1 - 0.6|, over 3 images.
    predicted = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6]])
    found = predictions.calibration(predicted, np.array([0, 1, 1]))
    assert found.ece == pytest.approx(100 * (0.8 + 0.4) / 3)
    assert found.nll == pytest.approx(-(math.log(0.9) + math.log(0.1) + math.log(0.6)) / 3)


def test_probabilities_of_large_logits_are_finite():
    found = probabilities(np.array([[60000.0, -60000.0], [0.0, 0.0]], dtype=np.float16))
    assert found.tolist() == [[1.0, 0.0], [0.5, 0.5]]
    assert predictions.calibration(found[:1], np.array([1])).nll == pytest.approx(
        708.4, abs=0.1
    )  # nor is their logarithm
