"""AutoMix among nine mixers: CIFAR-10 (AutoMix, Table 1, left).

    python studies/automix_table1_cifar10.py                    2 networks x 10 arms x 6 seeds, 800 epochs
    python studies/automix_table1_cifar10.py --preset quick     10 arms x 6 seeds of ResNet-8: an hour on a laptop

Paper, top-1 %, median of the last 10 epochs, mean of 3 runs
                  ResNet-18  ResNeXt-50
    none          95.50      96.23
    mixup         96.62      97.30
    cutmix        96.68      97.01
    manifoldmix   96.71      97.33
    saliencymix   96.53      97.18
    fmix          96.58      96.76
    puzzlemix     97.10      97.27
    comixup       97.15      97.32
    resizemix     96.76      97.21
    automix       97.34      97.65

AutoMix and Co-Mixup are set and tested as in automix_table1_cifar100.py. ResNeXt-50 has weight decay 5e-4 under the
mixers that cut, which OpenMixup's notes recommend and the paper's numbers fit.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR10_RESNET18, ON_CIFAR10, cell_settings

MIXERS = ("mixup", "cutmix", "manifoldmix", "saliencymix", "fmix", "puzzlemix", "comixup", "resizemix", "automix")

study = Study(
    name="automix_table1_cifar10",
    base={**CIFAR10_RESNET18, "mixer": "none"},
    factors={"backbone": ("resnet18", "resnext50")},
    settings=cell_settings,
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
