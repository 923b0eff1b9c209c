"""Each term of SUMix alone and together, in the paper's definition and in the released code's: CIFAR-100, ResNet-18.

    python studies/sumix_factorial.py                                     2 definitions x 8 arms x 3 seeds, 800 epochs
    python studies/sumix_factorial.py --preset quick --dataset cifar10    minutes on a laptop

Table 6 of the paper adds each regulariser to the learned lambda only. This crosses {lambda fixed, learned} with
{none, l_s, l_u, l_su}, so that what lambda does and what the regularisers do can be told apart.

Paper, CutMix, top-1 %, median of the last 10 epochs
    lambda     none   l_s    l_u    l_su
    fixed      78.17  -      -      -
    learned    79.13  79.51  79.60  79.78

In the released arithmetic l_s has no gradient: there its arms differ from those without by nothing but the loss.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18

study = Study(
    name="sumix_factorial",
    base={**CIFAR100_RESNET18, "mixer": "cutmix", "sumix.lam": "fixed", "sumix.regulariser": "none"},
    factors={"sumix.preset": ("paper", "release")},
    arms=(
        Arm("baseline", {}),
        Arm("l_s", {"sumix.regulariser": "s"}),
        Arm("l_u", {"sumix.regulariser": "u"}),
        Arm("l_su", {"sumix.regulariser": "su"}),
        Arm("lam", {"sumix.lam": "learned"}),
        Arm("lam + l_s", {"sumix.lam": "learned", "sumix.regulariser": "s"}),
        Arm("lam + l_u", {"sumix.lam": "learned", "sumix.regulariser": "u"}),
        Arm("lam + l_su", {"sumix.lam": "learned", "sumix.regulariser": "su"}),
    ),
    seeds=range(3),
)

if __name__ == "__main__":
    main(study, classify.train)
