"""Every mixer by its name. A mixer is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import TYPE_CHECKING

from trainables.registry import Registry

if TYPE_CHECKING:
    from trainables.mixers.mixed import Mixed

# name: the file of mixer(images, rng, *, alpha, ...), of images in [0, 1] before the mean and std are taken out
MIXERS: MutableMapping[str, Callable[..., Mixed]] = Registry(
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
