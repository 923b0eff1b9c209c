"""Slow copies of a network: the momentum pipeline by each row of AutoMix's Table 8, and the average of the weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import Generator

from tests.trainables.methods.small import LABELS, method_for, pixels
from trainables.methods.mixing import Mixing
from trainables.mixers import MIXERS
from trainables.mixers.mixed import mixed_cross_entropy

IMAGES = pixels(dtype=torch.float64)


def pipeline_for(mixer: str, pipeline: str | None, **keys):
    return method_for(mixer, mixer__pipeline=pipeline, **keys).double()


def test_without_it_there_is_no_copy():
    for pipeline in (None, "none"):
        method = pipeline_for("cutmix", pipeline)
        assert type(method) is Mixing
        assert method.evaluated is method.network


@pytest.mark.parametrize(("mixer", "pipeline"), [("mixup", "mp_m0"), ("cutmix", "mp"), ("mixup", "mp_ce")])
def test_a_step_by_hand(mixer, pipeline):
    options = {} if pipeline == "mp_m0" else {"mixer__first_momentum": 0.75, "mixer__last_momentum": 0.75}
    method, other = pipeline_for(mixer, pipeline, **options), pipeline_for(mixer, None)
    assert not any(p.requires_grad for p in method.teacher.parameters())
    if method.heads is not None:
        torch.nn.init.zeros_(method.heads[1].weight)  # the slow one, which takes no part in the loss
    loss, log = method(IMAGES, LABELS, Generator().manual_seed(0))
    mixed = MIXERS[mixer](IMAGES, Generator().manual_seed(0))
    of_plain = other.network(IMAGES)
    wanted = mixed_cross_entropy(other.network(mixed.images), LABELS, mixed)
    if pipeline == "mp_ce":
        one = F.cross_entropy(of_plain, LABELS)  # the head for plain images starts as the other does
        wanted = wanted + one
        torch.testing.assert_close(log["loss_one"], one.detach())
    torch.testing.assert_close(loss, wanted)

    loss.backward()
    assert all(p.grad is None for p in method.teacher.parameters())
    start = {name: value.clone() for name, value in method.teacher.state_dict().items()}
    torch.optim.SGD(method.parameters(), lr=0.1).step()
    method.after_step(0.5)
    keep = 0.0 if pipeline == "mp_m0" else 0.75
    now = method.network.state_dict()
    for name, value in method.evaluated.state_dict().items():  # the batch norms' statistics too
        averaged = keep * start[name] + (1 - keep) * now[name] if value.is_floating_point() else now[name]
        torch.testing.assert_close(value, averaged)
        assert not value.is_floating_point() or not torch.equal(value, start[name]) or "running" not in name
    names = {"teacher_one", "student_mixed", "student_one"} if pipeline == "mp_ce" else {"student_mixed"}
    assert set(method.also_tested) == names
    if method.heads is not None:
        torch.testing.assert_close(method.heads[1].weight, 0.25 * method.heads[0].weight)


def test_it_goes_around_sumix_and_mixers_with_a_method_of_their_own():
    plain = pipeline_for("attentivemix", "mp", sumix__lam="learned", sumix__regulariser="su")
    loss, log = plain(IMAGES, LABELS, Generator().manual_seed(0))
    assert loss.isfinite()
    assert "lam_shift" in log
    with pytest.raises(ValueError, match=r"unknown option of cutmix 'mixer\.first_momentum'"):
        pipeline_for("cutmix", "none", mixer__first_momentum=0.9)


def test_it_averages_what_the_method_would_test_and_passes_on_the_rest():
    method = method_for("automix", ema=0.75, mixer__block_lr=0.4)
    inner, slow = method.method, method.method.teacher
    assert [group["peak_lr"] for group in method.own_groups()] == [0.4]
    assert list(method.also_tested) == list(inner.also_tested)
    assert method.also_saved["mix_block"] is inner.block
    assert method.evaluated is method.average
    assert not any(p.requires_grad for p in method_for("none", ema=0.75).average.parameters())
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
