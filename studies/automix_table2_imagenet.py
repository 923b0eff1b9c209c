"""AutoMix among eight mixers: ImageNet-1k in PyTorch's style (AutoMix, Table 2).

    python studies/automix_table2_imagenet.py                    2 budgets x 5 networks x 9 arms x 6 seeds
    python studies/automix_table2_imagenet.py --preset quick     9 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper, top-1 %, of ResNet-18, -34, -50, -101 and ResNeXt-101 after 100 epochs, then of the first four after 300
                  R-18   R-34   R-50   R-101  RX-101  R-18   R-34   R-50   R-101
    none          70.04  73.85  76.83  78.18  78.71   71.83  75.29  77.35  78.91
    mixup         69.98  73.97  77.12  78.97  79.98   71.72  75.73  78.44  80.60
    cutmix        68.95  73.58  77.17  78.96  80.42   71.01  75.16  78.69  80.59
    manifoldmix   69.98  73.98  77.01  79.02  79.93   71.73  75.44  78.21  80.64
    saliencymix   69.16  73.56  77.14  79.32  80.27   70.21  75.01  78.46  80.45
    fmix          69.96  74.08  77.19  79.09  80.06   70.30  75.12  78.51  80.20
    puzzlemix     70.12  74.26  77.54  79.43  80.53   71.64  75.84  78.86  80.67
    resizemix     69.50  73.88  77.42  79.27  80.55   71.32  75.64  78.91  80.52
    automix       70.50  74.52  77.91  79.87  80.89   72.05  76.10  79.25  80.98

The paper says median of the last 10 epochs, OpenMixup for 100 epochs that of the last 5. AutoMix is set and tested as
in automix_table1_cifar100.py.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import IMAGENET_RESNET18, ON_CIFAR10, cell_settings

NETWORKS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnext101")
MIXERS = ("mixup", "cutmix", "manifoldmix", "saliencymix", "fmix", "puzzlemix", "resizemix", "automix")

study = Study(
    name="automix_table2_imagenet",
    base={**IMAGENET_RESNET18, "mixer": "none"},
    factors={"epochs": (100, 300), "backbone": tuple(f"{name}_imagenet" for name in NETWORKS)},
    settings=lambda config: {**cell_settings(config), "epochs": config["epochs"]},
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
