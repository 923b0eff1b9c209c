"""AutoMix among eight mixers: fine-tuning on CUB-200 and FGVC-Aircraft (AutoMix, Table 3, left).

    python studies/automix_table3_fine_tuned.py                    2 data sets x 2 networks x 9 arms x 6 seeds
    python studies/automix_table3_fine_tuned.py --preset quick     9 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper, top-1 %, median of the last 10 epochs, mean of 3 runs:
CUB-200 with ResNet-18 and ResNeXt-50, Aircraft with both
                  R-18   RX-50  R-18   RX-50
    none          77.68  83.01  80.23  85.10
    mixup         78.39  84.58  79.52  85.18
    cutmix        78.40  85.68  78.84  84.55
    manifoldmix   79.76  86.38  80.68  86.60
    saliencymix   77.95  83.29  80.02  84.31
    fmix          77.28  84.06  79.36  86.23
    puzzlemix     78.63  84.51  80.76  86.23
    resizemix     78.50  84.77  78.10  84.08
    automix       79.87  86.56  81.37  86.72

SUMix ran some of these baselines again with other results, which the table of a run shows. AutoMix is set and tested as
in automix_table1_cifar100.py.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CUB200, ON_CIFAR10, cell_settings

MIXERS = ("mixup", "cutmix", "manifoldmix", "saliencymix", "fmix", "puzzlemix", "resizemix", "automix")

study = Study(
    name="automix_table3_fine_tuned",
    base={**CUB200, "mixer": "none"},
    factors={"dataset": ("cub200", "aircraft"), "backbone": ("resnet18_imagenet", "resnext50_imagenet")},
    settings=cell_settings,
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
