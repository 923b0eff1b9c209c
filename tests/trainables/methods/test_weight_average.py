"""The average of the weights, around a method that has more than a network."""

import torch
from torch import Generator

from tests.trainables.methods.small import LABELS, method_for, pixels


def averaged(seed: int = 0):
    return method_for("automix", seed, ema=0.75, mixer__block_lr=0.4)


def test_it_averages_what_the_method_would_test_and_passes_on_the_rest():
    method = averaged()
    inner, slow = method.method, method.method.teacher
    assert [group["peak_lr"] for group in method.own_groups()] == [0.4]
    assert list(method.also_tested) == list(inner.also_tested)
    assert method.also_saved["mix_block"] is inner.block
    assert method.evaluated is method.average
    assert not any(p.requires_grad for p in method.average.parameters())
    asked = []
    inner.after_step = asked.append
    method(pixels(), LABELS, Generator().manual_seed(0))  # moves the statistics of the slow copy
    method.after_step(0.5)
    track = {name: value.clone() for name, value in slow.state_dict().items()}  # it begins with the first step
    for progress in (0.75, 1.0):
        method(pixels(), LABELS, Generator().manual_seed(1))
        with torch.no_grad():
            for parameter in slow.parameters():
                parameter.add_(1.0)
        method.after_step(progress)
        for name, new in slow.state_dict().items():
            track[name] = 0.75 * track[name] + 0.25 * new if new.is_floating_point() else new.clone()
    assert asked == [0.5, 0.75, 1.0]
    for name, value in method.evaluated.state_dict().items():
        torch.testing.assert_close(value, track[name])


def test_a_checkpoint_says_that_the_average_has_begun():
    method, again = averaged(), averaged(seed=1)
    method.after_step(0.5)
    again.load_state_dict(method.state_dict())
    before = [p.clone() for p in again.average.parameters()]
    again.method.after_step = lambda progress: None
    with torch.no_grad():
        for parameter in again.method.teacher.parameters():
            parameter.add_(1.0)
    again.after_step(0.75)
    for old, new in zip(before, again.average.parameters(), strict=True):
        torch.testing.assert_close(new, old + 0.25)
