"""AutoMix among eight mixers: iNaturalist 2017 and 2018 (AutoMix, Table 3, middle).

    python studies/automix_table3_inaturalist.py                    2 data sets x 2 networks x 9 arms x 6 seeds
    python studies/automix_table3_inaturalist.py --preset quick     9 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper, top-1 %, median of the last 10 epochs, mean of 3 runs:
2017 with ResNet-50 and ResNeXt-101, 2018 with both
                  R-50   RX-101  R-50   RX-101
    none          60.23  63.70   62.53  66.94
    mixup         61.22  66.27   62.69  67.56
    cutmix        62.34  67.59   63.91  69.75
    manifoldmix   61.47  66.08   63.46  69.30
    saliencymix   62.51  67.20   64.27  70.01
    fmix          61.90  66.64   63.71  69.46
    puzzlemix     62.66  67.72   64.36  70.12
    resizemix     62.29  66.82   64.12  69.30
    automix       63.08  68.03   64.73  70.49

AutoMix is set and tested as in automix_table1_cifar100.py.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import INAT2017, ON_CIFAR10, cell_settings

MIXERS = ("mixup", "cutmix", "manifoldmix", "saliencymix", "fmix", "puzzlemix", "resizemix", "automix")

study = Study(
    name="automix_table3_inaturalist",
    base={**INAT2017, "mixer": "none"},
    factors={"dataset": ("inat2017", "inat2018"), "backbone": ("resnet50_imagenet", "resnext101_imagenet")},
    settings=cell_settings,
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
