"""Every mixer by its name. A mixer is one file and one line here."""

from collections.abc import Callable

from trainables.mixers.adautomix import adautomix
from trainables.mixers.alignmix import alignmix
from trainables.mixers.attentivemix import attentivemix
from trainables.mixers.augmix import augmix
from trainables.mixers.automix import automix
from trainables.mixers.comixup import comixup
from trainables.mixers.cutmix import cutmix
from trainables.mixers.cutout import cutout
from trainables.mixers.fmix import fmix
from trainables.mixers.gridmix import gridmix
from trainables.mixers.kimage import dcutmix, dmixup
from trainables.mixers.manifoldmix import manifoldmix
from trainables.mixers.mergemix import mergemix
from trainables.mixers.mixed import Mixed
from trainables.mixers.mixup import mixup
from trainables.mixers.mixup_cutmix import mixup_cutmix
from trainables.mixers.none import none
from trainables.mixers.puzzlemix import puzzlemix
from trainables.mixers.resizemix import resizemix
from trainables.mixers.saliency_dcutmix import saliency_dcutmix
from trainables.mixers.saliencymix import saliencymix
from trainables.mixers.samix import samix
from trainables.mixers.smoothmix import smoothmix
from trainables.mixers.stylemix import stylecutmix, stylemix
from trainables.mixers.supermix import supermix
from trainables.mixers.transmix import transmix

# name: mixer(images, rng, *, alpha, ...), of images in [0, 1] before the mean and std are taken out
MIXERS: dict[str, Callable[..., Mixed]] = {
    "none": none,
    "cutout": cutout,
    "mixup": mixup,
    "cutmix": cutmix,
    "mixup_cutmix": mixup_cutmix,
    "resizemix": resizemix,
    "fmix": fmix,
    "gridmix": gridmix,
    "smoothmix": smoothmix,
    "saliencymix": saliencymix,
    "dmixup": dmixup,
    "dcutmix": dcutmix,
    "saliency_dcutmix": saliency_dcutmix,
    "manifoldmix": manifoldmix,
    "alignmix": alignmix,
    "puzzlemix": puzzlemix,
    "comixup": comixup,
    "supermix": supermix,
    "stylemix": stylemix,
    "stylecutmix": stylecutmix,
    "attentivemix": attentivemix,
    "augmix": augmix,
    "transmix": transmix,
    "mergemix": mergemix,
    "automix": automix,
    "samix": samix,
    "adautomix": adautomix,
}
