"""AutoMix among nine mixers: Tiny-ImageNet (AutoMix, Table 1, right).

    python studies/automix_table1_tiny.py                    2 networks x 10 arms x 6 seeds, 400 epochs
    python studies/automix_table1_tiny.py --preset quick     10 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper, top-1 %, median of the last 10 epochs, mean of 3 runs
                  ResNet-18  ResNeXt-50
    none          61.68      65.04
    mixup         63.86      66.36
    cutmix        65.53      66.47
    manifoldmix   64.15      67.30
    saliencymix   64.60      66.55
    fmix          63.47      65.08
    puzzlemix     65.81      67.83
    comixup       65.92      68.02
    resizemix     63.74      65.87
    automix       67.33      70.72

AutoMix and Co-Mixup are set and tested as in automix_table1_cifar100.py.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import ON_CIFAR10, TINY_IMAGENET, cell_settings

MIXERS = ("mixup", "cutmix", "manifoldmix", "saliencymix", "fmix", "puzzlemix", "comixup", "resizemix", "automix")

study = Study(
    name="automix_table1_tiny",
    base={**TINY_IMAGENET, "mixer": "none"},
    factors={"backbone": ("resnet18", "resnext50")},
    settings=cell_settings,
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
