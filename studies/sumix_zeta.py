"""SUMix at each weight of its regulariser and each strength of the mixer: CIFAR-100, ResNet-18 (SUMix, Tables 7 to 9).

    python studies/sumix_zeta.py                                     4 mixers x 2 alphas x 6 arms x 6 seeds, 800 epochs
    python studies/sumix_zeta.py --mixers cutmix                     one mixer
    python studies/sumix_zeta.py --preset quick --dataset cifar10    an hour on a laptop

zeta takes the paper's four values, alpha the two with which it draws lambda for ResNets. The two are crossed: each
alpha has a table of its own, with the values of zeta as arms, because the baseline has no zeta.

Paper, top-1 %, median of the last 10 epochs; it prints one zeta for each mixer, at one alpha
                 alpha  without  zeta  with SUMix
    CutMix       0.2    78.17    0.5   79.78
    FMix         0.2    79.69    1.0   80.20
    SaliencyMix  0.2    79.12    0.5   79.91
    ResizeMix    1.0    80.01    0.2   80.38

The arm "raw pass", a control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, RAW_PASS, SUMIX, WITHOUT_SUMIX

ZETAS = (0.1, 0.2, 0.5, 1.0)

study = Study(
    name="sumix_zeta",
    base={**CIFAR100_RESNET18, **WITHOUT_SUMIX},
    factors={"mixer": ("cutmix", "fmix", "saliencymix", "resizemix"), "mixer.alpha": (0.2, 1.0)},
    arms=(
        Arm("baseline", {}),
        Arm("raw pass", RAW_PASS, control=True),
        *(Arm(f"zeta {zeta}", {**SUMIX, "sumix.zeta": zeta}) for zeta in ZETAS),
    ),
)

if __name__ == "__main__":
    main(study, classify.train)
