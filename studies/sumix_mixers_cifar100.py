"""Every mixer that cuts, with and without SUMix: CIFAR-100, ResNet-18 (SUMix, Tables 1 and 4, and more).

    python studies/sumix_mixers_cifar100.py                                     9 mixers x 3 arms x 6 seeds, 800 epochs
    python studies/sumix_mixers_cifar100.py --preset quick --dataset cifar10    half an hour on a laptop

Paper, top-1 %, median of the last 10 epochs
                 plain  SUMix                     plain  SUMix
    cutmix       78.17  79.78        resizemix    80.01  80.38
    fmix         79.69  80.20        puzzlemix    81.13  81.43
    saliencymix  79.12  79.91
gridmix, attentivemix and the mixers of K images are not in the paper; for more than two images SUMix is our
extension: each source's weight is scaled by its own distance.
The arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, RAW_PASS, SUMIX, WITHOUT_SUMIX, sumix_settings

MIXERS = (
    *("cutmix", "fmix", "saliencymix", "resizemix", "gridmix"),
    *("attentivemix", "puzzlemix", "dcutmix", "saliency_dcutmix"),
)

study = Study(
    name="sumix_mixers_cifar100",
    base={**CIFAR100_RESNET18, **WITHOUT_SUMIX},
    factors={"mixer": MIXERS},
    settings=sumix_settings,
    arms=(Arm("plain", {}), Arm("raw pass", RAW_PASS, control=True), Arm("SUMix", SUMIX)),
)

if __name__ == "__main__":
    main(study, classify.train)
