"""Tests with batch norm's statistics of unmixed images: by hand, without a trace in the training, and as saved."""

import pytest
import torch
from torch import Tensor, nn

from tests.trainables import runs
from trainables.recalibration import recalibrated
from trainables.training import Run


def run_of(**keys) -> Run:
    return runs.run_of(12, **{"mixer": "mixup", "augment": "crop_flip", "image_size": 16, **keys})


def test_the_statistics_are_the_mean_of_those_of_the_batches():
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm2d(3), nn.BatchNorm2d(3, momentum=0.3)).double()
    network(torch.rand(5, 3, 4, 4).double())
    first, second = network[1], network[2]
    before = [value.clone() for value in network.state_dict().values()]
    batches = [torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(count)).double() for count in (5, 2)]
    with recalibrated(network, batches, keep=False):
        means = torch.stack([batch.mean(dim=(0, 2, 3)) for batch in batches])
        variances = torch.stack([batch.var(dim=(0, 2, 3)) for batch in batches])
        torch.testing.assert_close(first.running_mean, means.mean(dim=0))
        torch.testing.assert_close(first.running_var, variances.mean(dim=0))
        normalised = torch.zeros(3).double()
        torch.testing.assert_close(second.running_mean, normalised, rtol=0, atol=1e-12)
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
    plain, other = run_of(**keys), run_of(recalibrate=True, **keys)
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
    run = run_of(recalibrate=True, epochs=1)
    run.next_epoch()
    run.save(tmp_path)
    backbone = run.method.evaluated.backbone
    backbone.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    logits = last_logits(run)
    run.tested = []
    run.test_metrics(last=True)
    assert torch.equal(last_logits(run), logits)
