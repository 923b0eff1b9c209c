"""SUMix under four mixers and two networks that are fine-tuned: CUB-200-2011 (SUMix, Table 2, left).

    python studies/table2_cub.py                    2 networks x 4 mixers x 3 arms x 6 seeds, 200 epochs
    python studies/table2_cub.py --preset quick     the same arms with ResNet-8 on CIFAR-10, from scratch

Paper, top-1 %, median of the last 10 epochs, without and with SUMix
                 ResNet-18       ResNeXt-50
    CutMix       77.70  78.20    83.67  83.71
    FMix         77.28  79.24    84.06  84.33
    SaliencyMix  75.77  76.98    82.83  82.84
    ResizeMix    78.50  78.56    84.16  84.23

CutMix and SaliencyMix are the paper's own runs again and stand below OpenMixup's, 78.40 and 77.95 for ResNet-18. All
start from torchvision's weights of ImageNet-1k, downloaded or found in the data root's folder ``torchvision``.
The arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CUB200, ON_CIFAR10, RAW_PASS, SUMIX, WITHOUT_SUMIX, sumix_settings

study = Study(
    name="table2_cub",
    base={**CUB200, **WITHOUT_SUMIX},
    factors={
        "backbone": ("resnet18_imagenet", "resnext50_imagenet"),
        "mixer": ("cutmix", "fmix", "saliencymix", "resizemix"),
    },
    settings=sumix_settings,
    arms=(Arm("baseline", {}), Arm("raw pass", RAW_PASS, control=True), Arm("SUMix", SUMIX)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
