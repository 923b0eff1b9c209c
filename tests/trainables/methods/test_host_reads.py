"""Nothing in a training step reads a value back from its device, which would stall a GPU once a batch.

``test_cuda_graph`` takes a step of every mixer; here are the steps with SUMix and other options, and what follows them.
"""

from collections.abc import Callable

import pytest
import torch
from torch import Generator
from torch.utils._python_dispatch import TorchDispatchMode

from tests.trainables.methods.small import LABELS, method_for, pixels

READS = {"aten._local_scalar_dense", "aten.nonzero", "aten.masked_select", "aten.equal", "aten.is_nonzero"}
# What chooses a layer or a grid (``mixers/choice.py``) hashes the generator's state, which lies in the memory of the
# host and is no operation on the device.

SUMIX = {"sumix.lam": "learned", "sumix.regulariser": "su"}
STEPS = [
    ("automix", {}),
    *((mixer, {**SUMIX, "sumix.preset": preset}) for mixer in ("cutmix", "automix") for preset in ("paper", "release")),
    ("dcutmix", {**SUMIX, "sumix.raw_statistics": "leave"}),
    ("cutmix", {"mixer.pipeline": "mp_ce", "mixer.probability": 0.5}),
    ("automix", {"mixer.pipeline": "none", "automix.preset": "paper"}),
    ("cutmix", {"ema": 0.9, "clean_loss": 1.0, "label_smoothing": 0.1}),
    ("mixup", {"loss": "binary"}),
    ("saliencymix", {"mixer.saliency_input": "raw_float", "mixer.per_batch": True}),
]


class Reads(TorchDispatchMode):
    """Collects the operations that wait for a value."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func).rsplit(".", 1)[0]
        masks = name in ("aten.index", "aten.index_put", "aten.index_put_") and any(
            index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1]
        )
        if name in READS or masks:
            self.found.append(name)
        return func(*args, **(kwargs or {}))


def reads_of(step: Callable[[], object]) -> list[str]:
    with Reads() as reads:
        step()
    return reads.found


@pytest.mark.parametrize(("mixer", "keys"), STEPS, ids=[f"{m}-{'-'.join(map(str, k.values()))}" for m, k in STEPS])
def test_a_step_reads_nothing_back(mixer, keys):
    method, images, rng = method_for(mixer, **keys), pixels(), Generator().manual_seed(0)

    def step():
        method(images, LABELS, rng).loss.backward()
        method.after_step(0.5)

    assert not reads_of(step)


def test_what_reads_a_value_is_seen_and_nothing_else():
    x = torch.arange(4.0)
    assert reads_of(lambda: x.sum().item())
    assert reads_of(lambda: x[x > 0])
    assert reads_of(lambda: (x > 0).nonzero())
    assert reads_of(lambda: int(x[0]))
    assert reads_of(lambda: bool(x[0] > 0))
    assert reads_of(lambda: x.masked_select(x > 0))
    assert reads_of(lambda: torch.nn.functional.one_hot(x.long(), 5))
    assert not reads_of(lambda: x[torch.tensor([1, 2])] + 1)
