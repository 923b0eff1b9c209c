"""SUMix under four mixers: ImageNet-1k, ResNet-18, 100 epochs (SUMix, Table 1, right).

    python studies/table1_imagenet.py                    4 mixers x 3 arms x 6 seeds, 100 epochs
    python studies/table1_imagenet.py --preset quick     the same arms with ResNet-8 on CIFAR-10, minutes on a laptop

Paper, top-1 %, without and with SUMix
                 ResNet-18
    CutMix       68.95  69.71
    FMix         69.96  70.48
    SaliencyMix  69.16  69.52
    ResizeMix    69.50  69.76

The paper's numbers are medians of the last 5 epochs, these of the last 10. The paper reports one run each.
The arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import IMAGENET_RESNET18, ON_CIFAR10, RAW_PASS, SUMIX, WITHOUT_SUMIX, sumix_settings

study = Study(
    name="table1_imagenet",
    base={**IMAGENET_RESNET18, **WITHOUT_SUMIX},
    factors={"mixer": ("cutmix", "fmix", "saliencymix", "resizemix")},
    settings=sumix_settings,
    arms=(Arm("baseline", {}), Arm("raw pass", RAW_PASS, control=True), Arm("SUMix", SUMIX)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
