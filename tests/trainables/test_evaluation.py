"""A test by hand, the logits that are kept of it, and tests with batch norm's statistics of unmixed images."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.trainables.runs import run_of
from trainables import evaluation
from trainables.config import parse
from trainables.evaluation import Evaluation, rounded
from trainables.recalibration import recalibrated
from trainables.training import Run


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
    apart = [[1.0, np.nan, 2.0], [33.001, 33.1, 0.1]]  # these are rounded to the nearest number alone
    expected = [[33.0, 33.03125, 0.1], [65472.0, 65504.0, -65472.0], [2**-24, 0.0, -1.0], *apart]
    np.testing.assert_array_equal(rounded(np.float32([*tied, *apart])), np.float16(expected))


def mixup_run(**keys) -> Run:
    return run_of(12, **{"mixer": "mixup", "augment": "crop_flip", "image_size": 16, **keys})


@pytest.mark.parametrize(("kind", "sides"), [(nn.BatchNorm1d, ()), (nn.BatchNorm2d, (4, 4))])
def test_the_statistics_are_the_mean_of_those_of_the_batches(kind, sides):
    network = nn.Sequential(nn.Dropout(0.5), kind(3), kind(3, momentum=0.3)).double()
    network(torch.rand(5, 3, *sides).double())
    axes = (0, 2, 3)[: 1 + len(sides)]
    first, second = network[1], network[2]
    before, graphs = [value.clone() for value in network.state_dict().values()], []
    network.register_forward_hook(lambda _module, _images, maps: graphs.append(maps.requires_grad))
    rng = torch.Generator().manual_seed(0)
    batches = [torch.rand(count, 3, *sides, generator=rng).double() for count in (5, 2)]
    with recalibrated(network, batches, keep=False):
        means = torch.stack([batch.mean(dim=axes) for batch in batches])
        variances = torch.stack([batch.var(dim=axes) for batch in batches])
        torch.testing.assert_close(first.running_mean, means.mean(dim=0))
        torch.testing.assert_close(first.running_var, variances.mean(dim=0))
        normalised = torch.zeros(3).double()
        torch.testing.assert_close(second.running_mean, normalised, rtol=0, atol=1e-12)
    assert graphs == [False, False]  # they would fill the memory
    assert (first.momentum, second.momentum) == (0.1, 0.3)
    assert all(module.training for module in network.modules())
    assert all(map(torch.equal, network.state_dict().values(), before))
    with pytest.raises(KeyError), recalibrated(network, batches, keep=False):
        raise KeyError
    assert all(map(torch.equal, network.state_dict().values(), before))
    with recalibrated(network, batches, keep=True):
        kept = [value.clone() for value in network.state_dict().values()]
    assert all(map(torch.equal, network.state_dict().values(), kept))
    assert not all(map(torch.equal, kept, before))


@pytest.mark.parametrize(
    "keys", [{}, {"ema": 0.8, "accumulate": 2}, pytest.param({"mixer": "automix"}, marks=pytest.mark.slow)]
)
def test_the_training_is_that_without_it(keys):
    plain, other = mixup_run(**keys), mixup_run(recalibrate=True, **keys)
    assert max(len(images) for images in other.unmixed_batches()) == other.settings.part_size
    for run in (plain, other):
        run.next_epoch()
    assert all(torch.equal(value, plain.method.state_dict()[name]) for name, value in other.method.state_dict().items())
    for run in (plain, other):
        run.next_epoch()
    assert all(map(torch.equal, plain.method.parameters(), other.method.parameters()))
    assert [epoch.metrics["train_loss"] for epoch in plain.history] == [e.metrics["train_loss"] for e in other.history]
    assert not torch.equal(last_logits(plain), last_logits(other))


def last_logits(run: Run) -> Tensor:
    """Return the logits of the test set after the last epoch."""
    return torch.cat([logits for logits, _ in run.tested])


def test_what_is_saved_is_what_was_tested(tmp_path):
    run = mixup_run(recalibrate=True, epochs=1, **{"mixer.pipeline": "mp_m0"})
    run.next_epoch()
    assert torch.equal(run.evaluate_also["student_mixed"].logits, run.evaluate.logits)  # with statistics of its own
    run.save(tmp_path)
    backbone = run.method.evaluated.backbone
    backbone.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    logits = last_logits(run)
    run.tested = []
    run.test_metrics(last=True)
    assert torch.equal(last_logits(run), logits)
