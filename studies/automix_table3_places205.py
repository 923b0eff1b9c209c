"""AutoMix among eight mixers: Places205 (AutoMix, Table 3, right).

    python studies/automix_table3_places205.py                    2 networks x 9 arms x 6 seeds, 100 epochs
    python studies/automix_table3_places205.py --preset quick     9 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper, top-1 %, median of the last 10 epochs, mean of 3 runs
                  ResNet-18  ResNeXt-50
    none          59.63      63.10
    mixup         59.33      63.01
    cutmix        59.21      63.75
    manifoldmix   59.46      63.23
    saliencymix   59.50      63.33
    fmix          59.51      63.63
    puzzlemix     59.62      63.91
    resizemix     59.66      63.88
    automix       59.74      64.06

OpenMixup prints the numbers of ResNeXt-50 under ResNet-50, for which it has a configuration. AutoMix is set and tested
as in automix_table1_cifar100.py.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import ON_CIFAR10, PLACES205, cell_settings

MIXERS = ("mixup", "cutmix", "manifoldmix", "saliencymix", "fmix", "puzzlemix", "resizemix", "automix")

study = Study(
    name="automix_table3_places205",
    base={**PLACES205, "mixer": "none"},
    factors={"backbone": ("resnet18_imagenet", "resnext50_imagenet")},
    settings=cell_settings,
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
