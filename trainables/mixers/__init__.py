"""Every mixer by its name. A mixer is one file and one line here."""

from collections.abc import Callable

from trainables.mixers.alignmix import alignmix
from trainables.mixers.cutmix import cutmix
from trainables.mixers.manifoldmix import manifoldmix
from trainables.mixers.mixed import Mixed
from trainables.mixers.mixup import mixup
from trainables.mixers.none import none
from trainables.mixers.saliencymix import saliencymix

# name: mixer(images, rng, *, alpha, ...), of images in [0, 1] before the mean and std are taken out
MIXERS: dict[str, Callable[..., Mixed]] = {
    "none": none,
    "mixup": mixup,
    "cutmix": cutmix,
    "saliencymix": saliencymix,
    "manifoldmix": manifoldmix,
    "alignmix": alignmix,
}
