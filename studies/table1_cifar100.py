"""SUMix under four mixers and three networks: CIFAR-100 (SUMix, Table 1, left).

    python studies/table1_cifar100.py                    3 networks x 4 mixers x 3 arms x 6 seeds, 400 or 800 epochs
    python studies/table1_cifar100.py --preset quick     4 mixers x 3 arms x 6 seeds of ResNet-8 on CIFAR-10: a laptop

Paper, top-1 %, median of the last 10 epochs, without and with SUMix
                 ResNet-18       ResNeXt-50      WRN-28-8
    CutMix       78.17  79.78    78.32  79.91    84.45  84.56
    FMix         79.69  80.20    79.02  80.79    84.21  84.32
    SaliencyMix  79.12  79.91    78.77  79.32    84.35  84.58
    ResizeMix    80.01  80.38    80.35  80.72    84.87  84.91

The paper's baselines are OpenMixup's, from another initialisation than its own runs; here both arms start the same.
For ResNeXt-50 AutoMix prints 81.53 to 81.90 for the same baselines, presumably at weight decay 5e-4, which is more
than SUMix reaches: run it with ``--set weight_decay=0.0005`` too before believing a gain.
The arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import (
    CIFAR100_RESNET18,
    ON_CIFAR10,
    RAW_PASS,
    SUMIX,
    WITHOUT_SUMIX,
    recipe_of,
    sumix_settings,
)

study = Study(
    name="table1_cifar100",
    base={**CIFAR100_RESNET18, **WITHOUT_SUMIX},
    factors={
        "backbone": ("resnet18", "resnext50", "wrn28_8"),
        "mixer": ("cutmix", "fmix", "saliencymix", "resizemix"),
    },
    settings=lambda config: {**recipe_of(config), **sumix_settings(config)},
    arms=(Arm("baseline", {}), Arm("raw pass", RAW_PASS, control=True), Arm("SUMix", SUMIX)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
