"""Nineteen mixers, plain, against no mixing: CIFAR-100, ResNet-18.

    python studies/mixers_cifar100.py                                        20 arms x 6 seeds, 800 epochs
    python studies/mixers_cifar100.py --preset quick --dataset cifar10       half an hour on a laptop

Published, top-1 %, 800 epochs, median of the last 10 (OpenMixup's CIFAR-100 benchmark)
    none         78.04      manifoldmix   80.35      gridmix    78.72
    mixup        79.12      smoothmix     78.69      resizemix  80.01
    cutmix       78.17      saliencymix   79.12      puzzlemix  81.13
    fmix         79.69      attentivemix  78.91      comixup    81.17 (official code)
The K-image mixers are published for other networks: with PyramidNet-110, dmixup 81.40 and dcutmix 83.05, cutmix
82.03 (K-image mixing, Table 1). Here attentivemix looks through an average of the network that is being trained, and
supermix through that network; their papers use a pretrained one. comixup also learns from the images before mixing, as
in its own code. transmix needs a class token and is in no table of ResNets; automix has a recipe of its own, and is in
table4_saliency_mixers.py.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, sumix_settings

MIXERS = (
    *("cutout", "mixup", "cutmix", "mixup_cutmix", "resizemix", "fmix", "gridmix", "smoothmix", "saliencymix"),
    *("dmixup", "dcutmix", "saliency_dcutmix", "manifoldmix", "alignmix", "puzzlemix", "comixup"),
    *("supermix", "attentivemix", "augmix"),
)

study = Study(
    name="mixers_cifar100",
    base={**CIFAR100_RESNET18, "mixer": "none"},
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name, **sumix_settings({"mixer": name})}) for name in MIXERS)),
)

if __name__ == "__main__":
    main(study, classify.train)
