"""The ways of a batch through the network: in parts, or by deterministic operations only."""

import copy
import os

import pytest
import torch
from torch import nn

from tests.trainables.runs import run_of, weights
from trainables.seeds import generator
from trainables.training import Run


class InDouble:
    """A source whose batches are float64, so that two ways of one sum can be compared."""

    def __init__(self, source):
        self.source = source

    def __len__(self):
        return len(self.source)

    def train_batches(self, batch_size, order, augment):
        for images, labels in self.source.train_batches(batch_size, order, augment):
            yield images.double(), labels


def in_double(**keys) -> Run:
    run = run_of(**keys)
    run.method.double()
    run.train_set = InDouble(run.train_set)
    return run


@pytest.mark.slow
def test_without_batch_norm_parts_give_the_step_of_the_whole_batch():
    keys = {"count": 6, "batch_size": 4, "backbone": "vit_tiny_32", "weight_decay": 0.0, "label_smoothing": 0.1}
    whole, parts = in_double(**keys), in_double(**keys, accumulate=4)
    first, second = whole.train_epoch(1)[0], parts.train_epoch(1)[0]  # the last batch is of 2 images: two parts
    assert second["train_loss"] == pytest.approx(first["train_loss"], rel=1e-12)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=1e-10, atol=1e-12)
    untrained = in_double(**keys)
    assert not torch.equal(whole.method.network.backbone.head.weight, untrained.method.network.backbone.head.weight)


def test_batch_norm_sees_one_part_at_a_time():
    run = in_double(count=8, accumulate=2, weight_decay=0.0)
    network = copy.deepcopy(run.method.network).train()
    ((images, labels),) = run.train_set.train_batches(8, generator(run.seed, "data", 1), torch.Generator())
    losses = [nn.functional.cross_entropy(network(images[rows]), labels[rows]) for rows in (slice(0, 4), slice(4, 8))]
    (sum(losses) / 2).backward()
    run.train_epoch(1)
    before = dict(network.named_parameters())
    for name, after in run.method.network.named_parameters():
        # The first step of SGD with Nesterov's momentum or without it; the learning rate is that of the first epoch.
        group = run.optimiser.param_groups[0]
        step = before[name].grad * group["lr"] * (1 + group["momentum"] * group["nesterov"])
        torch.testing.assert_close(after, before[name] - step, rtol=1e-10, atol=1e-12)
    means = {name: value for name, value in network.named_buffers() if name.endswith("running_mean")}
    found = dict(run.method.network.named_buffers())
    assert len(means) > 5
    torch.testing.assert_close({name: found[name] for name in means}, means, rtol=1e-10, atol=1e-12)


def test_deterministic_runs_have_the_same_numbers_and_leave_no_trace(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # what it was is restored at the end
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    one = run_of(8, mixer="cutmix", deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    one.train_epoch(1)
    two = run_of(8, mixer="cutmix")
    assert not torch.are_deterministic_algorithms_enabled()
    two.train_epoch(1)
    torch.testing.assert_close(weights(one), weights(two), rtol=0, atol=0)
