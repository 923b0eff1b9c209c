"""Each term of SUMix alone and together, in the paper's definition and in the released code's: CIFAR-100, ResNet-18.

    python studies/sumix_factorial.py                                     2 definitions x 9 arms x 6 seeds, 800 epochs
    python studies/sumix_factorial.py --preset quick --dataset cifar10    minutes on a laptop

Table 6 of the paper adds each regulariser to the learned lambda only. This crosses {lambda fixed, learned} with
{none, l_s, l_u, l_su}: a factorial design of three terms; all arms serve to estimate their effects and interactions.

Paper, CutMix, top-1 %, median of the last 10 epochs
    lambda     none   l_s    l_u    l_su
    fixed      78.17  -      -      -
    learned    79.13  79.51  79.60  79.78

In the released arithmetic l_s has no gradient: there its arms differ from those without it only in the loss. The
arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, factorial, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, RAW_PASS, WITHOUT_SUMIX

TERMS = (("lam", {"sumix.lam": "learned"}), ("l_s", {"sumix.regulariser": "s"}), ("l_u", {"sumix.regulariser": "u"}))


def with_both(arm: Arm) -> Arm:
    """Return the arm with l_su where it has l_s and l_u, which are values of one key."""
    both = arm.signs["l_s"] == arm.signs["l_u"] == 1
    return Arm(arm.name, {**arm.changes, "sumix.regulariser": "su"}, signs=arm.signs) if both else arm


study = Study(
    name="sumix_factorial",
    base={**CIFAR100_RESNET18, "mixer": "cutmix", **WITHOUT_SUMIX},
    factors={"sumix.preset": ("paper", "release")},
    arms=(*map(with_both, factorial(TERMS)), Arm("raw pass", RAW_PASS, control=True)),
)

if __name__ == "__main__":
    main(study, classify.train)
