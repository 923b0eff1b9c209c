"""A step whose batch goes through the network in parts, by ``accumulate``."""

import copy

import pytest
import torch
from torch import nn

from tests.trainables.runs import run_of, weights
from trainables.seeds import generator
from trainables.training import Run


def in_double(**keys) -> Run:
    """Return a run whose batches are float64, so that two ways of one sum can be compared."""
    run = run_of(**keys)
    run.method.double()
    single = run.train_set.train_batches
    run.train_set.train_batches = lambda *given: ((images.double(), labels) for images, labels in single(*given))
    return run


@pytest.mark.slow
def test_without_batch_norm_parts_give_the_step_of_the_whole_batch():
    keys = {"count": 7, "batch_size": 4, "backbone": "vit_tiny_32", "weight_decay": 0.0, "label_smoothing": 0.1}
    whole, parts = in_double(**keys), in_double(**keys, accumulate=2)
    first, second = whole.train_epoch(1)[0], parts.train_epoch(1)[0]  # the last parts are of 2 images and of 1
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
