"""AutoMix under different draws of lambda (AutoMix, Fig. 9).

    python studies/automix_figure9_alpha.py                    2 data sets x 5 arms x 6 seeds
    python studies/automix_figure9_alpha.py --preset quick     5 arms x 6 seeds of ResNet-8 on CIFAR-10

Paper: of alpha 0.2, 0.5, 1, 2 and 4 the best is 2, on CIFAR-100 and Tiny-ImageNet with ResNet-18. The figure prints no
numbers but those of alpha 2:
                  CIFAR-100  Tiny-ImageNet
    alpha 2       82.04      67.33

AutoMix is set and tested as in automix_table1_cifar100.py.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, ON_CIFAR10, TINY_IMAGENET, cell_settings

study = Study(
    name="automix_figure9_alpha",
    base={**CIFAR100_RESNET18, "mixer": "automix"},
    factors={"dataset": {"cifar100": CIFAR100_RESNET18, "tiny_imagenet": TINY_IMAGENET}},
    settings=cell_settings,
    arms=tuple(Arm(f"alpha {alpha:g}", {"mixer.alpha": alpha}) for alpha in (2.0, 0.2, 0.5, 1.0, 4.0)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
