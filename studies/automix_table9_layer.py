"""AutoMix with masks from each layer: Tiny-ImageNet (AutoMix, Table 9).

    python studies/automix_table9_layer.py                    2 networks x 5 arms x 6 seeds, 400 epochs
    python studies/automix_table9_layer.py --preset quick     5 arms x 6 seeds of a small transformer on CIFAR-10

Paper, top-1 % and the hours of a training
                  ResNet-18  hours  ResNeXt-50  hours
    mixup         63.86      20     66.36       113
    l1            67.30      67     70.70       413
    l2            67.27      41     70.43       252
    l3            67.33      34     70.72       196
    l4            67.32      28     70.67       174

The short presets train a small transformer of four blocks, because ResNet-8 has three stages only. AutoMix is set and
tested as in automix_table1_cifar100.py.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import TINY_IMAGENET, TRANSFORMER_ON_CIFAR10, cell_settings

study = Study(
    name="automix_table9_layer",
    base={**TINY_IMAGENET, "mixer": "automix"},
    factors={"backbone": ("resnet18", "resnext50")},
    settings=cell_settings,
    arms=(Arm("mixup", {"mixer": "mixup"}), *(Arm(f"l{layer}", {"mixer.layer": layer}) for layer in (1, 2, 3, 4))),
    presets=TRANSFORMER_ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
