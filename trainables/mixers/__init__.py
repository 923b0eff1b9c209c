"""Every mixer by its name. A mixer is one file and one line here.

A mixer is called as ``mixer(images, rng, *, alpha, ...)`` and returns a ``Mixed`` batch. The images (B, C, H, W) are
pixels in [0, 1], not yet normalised, and are left unchanged; every random draw is made by ``rng``, a generator on their
device. Every mixer takes ``alpha``, so that a study can set it for all of them; most draw a share lambda from
Beta(alpha, alpha) for each row. A mixer asks for what only the network can tell, such as its attention, by the name of
a parameter (``trainables.methods.inputs``). The types of its other options say which values they may have, and
``trainables.config`` checks them.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from trainables.registry import Registry

if TYPE_CHECKING:
    from trainables.mixers.mixed import Mixed

# name: its file
MIXERS: Mapping[str, Callable[..., Mixed]] = Registry(
    __name__,
    {
        "none": "none",
        "cutout": "cutout",
        "mixup": "mixup",
        "cutmix": "cutmix",
        "mixup_cutmix": "mixup_cutmix",
        "resizemix": "resizemix",
        "fmix": "fmix",
        "gridmix": "gridmix",
        "smoothmix": "smoothmix",
        "saliencymix": "saliencymix",
        "dmixup": "kimage",
        "dcutmix": "kimage",
        "saliency_dcutmix": "saliency_dcutmix",
        "manifoldmix": "manifoldmix",
        "alignmix": "alignmix",
        "puzzlemix": "puzzlemix",
        "comixup": "comixup",
        "supermix": "supermix",
        "stylemix": "stylemix",
        "stylecutmix": "stylemix",
        "attentivemix": "attentivemix",
        "augmix": "augmix",
        "transmix": "transmix",
        "mergemix": "mergemix",
        "automix": "automix",
        "samix": "samix",
        "adautomix": "adautomix",
    },
)


def learns_masks(mixer: str) -> bool:
    """Return whether a mixer's masks are made by a block that is trained with the network."""
    return mixer in MIXERS and "generate" in parameters_of(MIXERS[mixer])


@functools.cache
def parameters_of(mixer: Callable[..., Mixed]) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of a mixer by their names; a study of a thousand runs asks for them thousands of times."""
    return inspect.signature(mixer).parameters
