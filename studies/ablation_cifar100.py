"""Ablation of the terms of SUMix: CIFAR-100, ResNet-18 (SUMix, Table 6).

    python studies/ablation_cifar100.py                                      2 mixers x 6 arms x 6 seeds, 800 epochs
    python studies/ablation_cifar100.py --preset quick --dataset cifar10     minutes on a laptop

Paper, top-1 %, median of the last 10 epochs
                 baseline  + lam  + l_s  + l_u  + l_su
    CutMix       78.17     79.13  79.51  79.60  79.78
    SaliencyMix  79.12     79.79  78.71  79.43  79.91

Each regulariser comes on top of the learned lambda, so that the last row is the full SUMix of Table 1, and is
compared with the learned lambda alone. The arm "raw pass", a control, runs the batch before mixing as SUMix does and
learns nothing from it: its gain is due to batch norm, which sees statistics of unmixed images, and not to SUMix.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, RAW_PASS, SUMIX, WITHOUT_SUMIX

study = Study(
    name="ablation_cifar100",
    base={**CIFAR100_RESNET18, **WITHOUT_SUMIX},
    factors={"mixer": ("cutmix", "saliencymix")},
    arms=(
        Arm("baseline", {}),
        Arm("raw pass", RAW_PASS, control=True),
        Arm("+ lam", {"sumix.lam": "learned"}),
        Arm("+ l_s", {"sumix.lam": "learned", "sumix.regulariser": "s"}, against="+ lam"),
        Arm("+ l_u", {"sumix.lam": "learned", "sumix.regulariser": "u"}, against="+ lam"),
        Arm("+ l_su", SUMIX, against="+ lam"),
    ),
)

if __name__ == "__main__":
    main(study, classify.train)
