"""SUMix under four mixers and two networks: Tiny-ImageNet (SUMix, Table 1, middle).

    python studies/table1_tiny_imagenet.py                    2 networks x 4 mixers x 3 arms x 6 seeds, 400 epochs
    python studies/table1_tiny_imagenet.py --preset quick     4 mixers x 3 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper, top-1 %, median of the last 10 epochs, without and with SUMix
                 ResNet-18       ResNeXt-50
    CutMix       65.53  65.71    66.47  68.74
    FMix         63.47  63.69    65.08  67.12
    SaliencyMix  64.60  65.68    66.55  68.92
    ResizeMix    63.74  65.30    65.87  67.49

The paper's baselines are OpenMixup's at alpha 1 (all four), its own runs have alpha 0.2 (except ResizeMix); here
both arms have the latter, so that a gain is that of SUMix alone. ``--set mixer.alpha=1`` gives the former.
The arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import ON_CIFAR10, RAW_PASS, SUMIX, TINY_IMAGENET, WITHOUT_SUMIX, sumix_settings

study = Study(
    name="table1_tiny_imagenet",
    base={**TINY_IMAGENET, **WITHOUT_SUMIX},
    factors={"backbone": ("resnet18", "resnext50"), "mixer": ("cutmix", "fmix", "saliencymix", "resizemix")},
    settings=sumix_settings,
    arms=(Arm("baseline", {}), Arm("raw pass", RAW_PASS, control=True), Arm("SUMix", SUMIX)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
