"""AutoMix against corruptions and adversaries: CIFAR-100, ResNeXt-50 (AutoMix, Table 4).

    python studies/automix_table4_robustness.py                    6 arms x 6 seeds, 400 epochs
    python studies/automix_table4_robustness.py --preset quick     6 arms x 6 seeds of ResNet-8 on CIFAR-10

    python analysis/robustness.py automix_table4_robustness         the columns on the right, of the finished runs

Paper, % of the clean test set, of CIFAR-100-C, and the error under FGSM at 8/255
                  clean  corrupted  FGSM error
    none          80.24  51.71      63.92
    mixup         82.44  58.10      56.60
    cutmix        81.09  49.32      76.84
    augmix        81.18  66.54      55.59
    puzzlemix     82.76  57.82      63.71
    automix       83.13  58.35      55.34

The paper does not say how long these networks were trained; its clean accuracy without mixing is OpenMixup's after 400
epochs. AutoMix is tested by its slow copy with the head for mixed images; OpenMixup, the source of the paper's numbers,
reports the best of four heads, chosen on the test set.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNEXT50, ON_CIFAR10, cell_settings

MIXERS = ("mixup", "cutmix", "augmix", "puzzlemix", "automix")

study = Study(
    name="automix_table4_robustness",
    base={**CIFAR100_RESNEXT50, "epochs": 400, "mixer": "none"},
    settings=lambda config: {**cell_settings(config), "epochs": config["epochs"]},
    arms=(Arm("none", {}), *(Arm(name, {"mixer": name}) for name in MIXERS)),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
