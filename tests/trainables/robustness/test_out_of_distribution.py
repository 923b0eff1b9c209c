"""The AUPR by hand and by its definition, and the accuracy among some of the classes."""

import pytest
import torch
from torch import Tensor

from trainables.robustness.classifier import top1
from trainables.robustness.out_of_distribution import aupr_of_outsiders, average_precision, confidence


def by_definition(scores: Tensor, positive: Tensor) -> float:
    """Return the sum over every distinct threshold, from the highest, of precision times the recall that it adds."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        passed = scores >= threshold
        recall = float((passed & positive).sum() / positive.sum())
        total += (recall - before) * float((passed & positive).sum() / passed.sum())
        before = recall
    return total


def test_average_precision_by_hand():
    scores = torch.tensor([4.0, 3.0, 2.0, 1.0])
    assert average_precision(scores, torch.tensor([True, False, True, False])) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)
    assert average_precision(scores, torch.tensor([False, False, False, True])) == pytest.approx(1 / 4)
    assert average_precision(torch.zeros(4), torch.tensor([True, False, False, False])) == pytest.approx(1 / 4)


def test_average_precision_is_its_definition_with_many_equal_scores():
    rng = torch.Generator().manual_seed(0)
    for _ in range(20):
        scores = torch.randint(0, 7, (40,), generator=rng).double()
        positive = torch.rand(40, generator=rng) < 0.3
        positive[0] = True
        assert average_precision(scores, positive) == pytest.approx(by_definition(scores, positive), rel=1e-6)


def test_outsiders_of_low_confidence_are_found_and_by_chance_the_aupr_is_their_share():
    assert aupr_of_outsiders(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([0.2, 0.6])) == pytest.approx(100)
    assert aupr_of_outsiders(torch.full((3,), 0.5), torch.full((1,), 0.5)) == pytest.approx(25)
    assert aupr_of_outsiders(torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.9])) == pytest.approx(25)


def test_only_the_logits_of_the_classes_count():
    logits = torch.tensor([[9.0, 1.0, 0.0, 2.0], [0.0, 3.0, 8.0, 1.0]])
    classes = torch.tensor([1, 3])
    expected = torch.tensor([[1.0, 2.0], [3.0, 1.0]]).double().softmax(1).amax(1)
    torch.testing.assert_close(confidence(logits, classes), expected)
    assert top1(logits, torch.tensor([3, 3]), classes) == 50
    assert top1(logits, torch.tensor([0, 2])) == 100
