"""Ablation of the terms of SUMix: CUB-200-2011, ResNet-18, fine-tuned (SUMix, Table 6, right).

    python studies/ablation_cub.py                    2 mixers x 6 arms x 6 seeds, 200 epochs
    python studies/ablation_cub.py --preset quick     the same arms with ResNet-8 on CIFAR-10, minutes on a laptop

Paper, top-1 %, median of the last 10 epochs
                 baseline  + lam  + l_s  + l_u  + l_su
    FMix         77.28     79.03  79.03  79.24  79.24
    SaliencyMix  75.77     76.46  76.34  76.72  76.98

Each regulariser comes on top of the learned lambda, so that the last row is the full SUMix of Table 2, and is
compared with the learned lambda alone. The arm "raw pass", a control, runs the batch before mixing as SUMix does and
learns nothing from it: its gain is due to batch norm. The paper's text gives 1.75 as FMix's gain from all terms; its
table gives 1.96.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CUB200, ON_CIFAR10, RAW_PASS, SUMIX, WITHOUT_SUMIX, sumix_settings

study = Study(
    name="ablation_cub",
    base={**CUB200, **WITHOUT_SUMIX},
    factors={"mixer": ("fmix", "saliencymix")},
    settings=sumix_settings,
    arms=(
        Arm("baseline", {}),
        Arm("raw pass", RAW_PASS, control=True),
        Arm("+ lam", {"sumix.lam": "learned"}),
        Arm("+ l_s", {"sumix.lam": "learned", "sumix.regulariser": "s"}, against="+ lam"),
        Arm("+ l_u", {"sumix.lam": "learned", "sumix.regulariser": "u"}, against="+ lam"),
        Arm("+ l_su", SUMIX, against="+ lam"),
    ),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
