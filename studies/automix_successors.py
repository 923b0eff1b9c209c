"""AutoMix and two methods that build on it: CIFAR-100 (SAMix, arXiv:2111.15454; AdAutoMix, arXiv:2312.11954).

    python studies/automix_successors.py                    2 networks x 3 arms x 6 seeds, 800 epochs
    python studies/automix_successors.py --preset quick     3 arms x 6 seeds of ResNet-8 on CIFAR-10

Published, top-1 %, median of the last 10 epochs (OpenMixup's CIFAR-100 benchmark; AdAutoMix's own code)
                 ResNet-18  ResNeXt-50
    automix      82.04      83.64
    samix        82.30      84.42
    adautomix    82.32      84.22

All three are tested by their slow copy with the head for mixed images; the published numbers are the best of four
heads, chosen on the test set.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, ON_CIFAR10, cell_settings

study = Study(
    name="automix_successors",
    base={**CIFAR100_RESNET18, "mixer": "automix"},
    factors={"backbone": ("resnet18", "resnext50")},
    settings=cell_settings,
    arms=(Arm("automix", {}), Arm("samix", {"mixer": "samix"}), Arm("adautomix", {"mixer": "adautomix"})),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
