"""A test by hand, and the logits that are kept of it."""

import numpy as np
import pytest
import torch

from tests.trainables.runs import run_of
from trainables import evaluation
from trainables.config import parse
from trainables.evaluation import Evaluation, rounded


def test_accuracy_and_loss_are_those_of_all_images_each_time(monkeypatch):
    monkeypatch.setattr(evaluation, "TEST_BATCH", 8)  # the last batch is of 4 images
    run = run_of(20)
    evaluate = Evaluation(run.settings, torch.float32, torch.device("cpu"), run.method.network, graphed=False)
    tested: list[evaluation.Tested] = []
    found = evaluate(run.test_set, tested)
    assert [len(labels) for _, labels in tested] == [8, 8, 4]
    logits, labels = (torch.cat(parts) for parts in zip(*tested, strict=True))
    order = logits.argsort(dim=1, descending=True)
    places = [row.index(label) for row, label in zip(order.tolist(), labels.tolist(), strict=True)]
    shares = [100 * sum(place < best for place in places) / 20 for best in (1, 5)]
    loss = -sum(row.log_softmax(dim=0)[label].item() for row, label in zip(logits, labels, strict=True)) / 20
    assert found == pytest.approx({"top1": shares[0], "top5": shares[1], "loss": loss})
    assert 0 < shares[1] < 100
    assert evaluate(run.test_set) == found


@pytest.mark.parametrize(
    ("keys", "images"),
    [
        ({"dataset": "cifar10"}, 500),
        ({"dataset": "cifar10", "image_size": 80}, 500),
        ({"dataset": "cifar10", "image_size": 81}, 487),
        ({"dataset": "imagenet"}, 63),
        ({"dataset": "imagenet", "image_size": 160, "test_size": 224}, 63),
        ({"dataset": "imagenet", "image_size": 4096}, 1),
    ],
)
def test_a_batch_has_as_many_pixels_as_500_images_of_80_pixels_a_side(keys, images):
    assert evaluation.test_batch(parse({"mixer": "none", "backbone": "resnet18", **keys})) == images


def test_rounded_logits_keep_the_largest_of_each_row():
    # Between 32 and 64 the numbers of float16 are 1/32 apart.
    tied = [[33.001, 33.002, 0.1], [1e6, 2e6, -1e6], [0.0, 0.0, -1.0]]
    apart = [[1.0, np.nan, 2.0], [33.001, 33.1, 0.1]]  # which only become the nearest numbers
    expected = [[33.0, 33.03125, 0.1], [65472.0, 65504.0, -65472.0], [2**-24, 0.0, -1.0], *apart]
    np.testing.assert_array_equal(rounded(np.float32([*tied, *apart])), np.float16(expected))
