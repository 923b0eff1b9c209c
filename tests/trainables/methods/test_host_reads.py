"""Nothing in a training step reads a value back from its device, which would stall a GPU once a batch.

``test_cuda_graph`` takes a step of every mixer; here are the steps with SUMix and other options, and what follows them,
on tensors without numbers, which raise where a program would wait for one (see ``test_rehearsal``). What chooses a
layer or a grid (``mixers/choice.py``) hashes the generator's state, which lies in the memory of the host.
"""

import pytest
from torch import Generator

from tests.trainables.methods.small import LABELS, method_for, pixels
from trainables.rehearsal import without_numbers

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


@pytest.mark.parametrize(("mixer", "keys"), STEPS, ids=[f"{m}-{'-'.join(map(str, k.values()))}" for m, k in STEPS])
def test_a_step_reads_nothing_back(mixer, keys):
    method = method_for(mixer, **keys)
    with without_numbers():
        method.to_empty(device="cpu")
        method(pixels(), LABELS, Generator()).loss.backward()
        method.after_step(0.5)
