"""SUMix under four mixers and two transformers: CIFAR-100 at 224 pixels (SUMix, Table 3).

    python studies/table3_vits.py                    2 networks x 4 mixers x 3 arms x 6 seeds, 200 epochs
    python studies/table3_vits.py --preset quick     4 mixers x 3 arms x 6 seeds of a small transformer on CIFAR-10

Paper, top-1 %, without and with SUMix
                 DeiT-S          Swin-T
    CutMix       74.12  75.26    80.64  80.83
    FMix         70.41  70.69    80.72  80.73
    SaliencyMix  69.78  70.31    80.40  80.71
    ResizeMix    68.45  68.78    80.16  80.59

The paper's numbers are the best of the last 10 epochs, chosen on the test set; these are medians, so expect them to be
lower. The released code has no SUMix for transformers. Label smoothing applies to the loss's first term in both arms.
The arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import (
    CIFAR100_DEIT_SMALL,
    RAW_PASS,
    SUMIX,
    TRANSFORMER_ON_CIFAR10,
    WITHOUT_SUMIX,
    recipe_of,
    sumix_settings,
)

study = Study(
    name="table3_vits",
    base={**CIFAR100_DEIT_SMALL, **WITHOUT_SUMIX},
    factors={
        "backbone": ("deit_small", "swin_tiny"),
        "mixer": ("cutmix", "fmix", "saliencymix", "resizemix"),
    },
    settings=lambda config: {**recipe_of(config), **sumix_settings(config)},
    arms=(Arm("baseline", {}), Arm("raw pass", RAW_PASS, control=True), Arm("SUMix", SUMIX)),
    presets=TRANSFORMER_ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
