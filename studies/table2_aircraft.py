"""SUMix under four mixers and two networks that are fine-tuned: FGVC-Aircraft (SUMix, Table 2, right).

    python studies/table2_aircraft.py                    2 networks x 4 mixers x 3 arms x 6 seeds, 200 epochs
    python studies/table2_aircraft.py --preset quick     the same arms with ResNet-8 on CIFAR-10, from scratch

Paper, top-1 %, median of the last 10 epochs, without and with SUMix
                 ResNet-18       ResNeXt-50
    CutMix       78.84  79.72    84.55  85.84
    FMix         79.36  79.48    84.10  84.64
    SaliencyMix  79.78  79.90    84.31  84.49
    ResizeMix    78.10  80.29    84.08  85.12

All start from torchvision's weights of ImageNet-1k, downloaded or found in the data root's folder ``torchvision``.
The arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import AIRCRAFT, ON_CIFAR10, RAW_PASS, SUMIX, WITHOUT_SUMIX, sumix_settings

study = Study(
    name="table2_aircraft",
    base={**AIRCRAFT, **WITHOUT_SUMIX},
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
