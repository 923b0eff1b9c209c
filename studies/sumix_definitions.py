"""Ablation of the choices in the definition of SUMix: CIFAR-100, ResNet-18, CutMix.

    python studies/sumix_definitions.py                                     15 arms x 6 seeds, 800 epochs
    python studies/sumix_definitions.py --preset quick --dataset cifar10    minutes on a laptop

The paper leaves choices open, and its released code makes some that the paper does not mention. Each arm except the
baseline, the controls and the release changes one choice of "SUMix as in the paper", which it is compared with.
    symbol of the paper       here, as in the paper                    the other reading, and what the release does
    f(x), before mixing       moves batch norm's running statistics    leaves them; the release moves them
    f(x) and f(x~)            two passes, as in the release            one pass, normalised by common statistics
    sigma(z~ - z), Eq. 6      its gradient flows through z~            detached, as in the release: l_s has no gradient
    z, Eq. 4 and 6            class logits                             features; probabilities, as in the release
    lambda~, Eq. 4            without gradient, as in the release      with gradient through z~: "learnable"
    lambda~ of a row          its own                                  the mean over the batch, as in the release
    batches that are mixed    all, as in the release                   half, as in CutMix's own code
    lambda of a clipped box   the pasted area, as in the release       as it was drawn
    border of a crop          by reflection, as in the release         zeros, as in CutMix's own code
"release" takes all of its choices at once, and its arithmetic (trainables/losses/sumix_release.py). The control "raw
pass" runs the batch before mixing and learns nothing from it: its gain is due to batch norm, not to SUMix. The control
"recalibrated" is the baseline, tested with batch norm's statistics of unmixed images: what it gains, SUMix need not.

Paper, top-1 %, median of the last 10 epochs: baseline 78.17, SUMix 79.78, which stands next to both definitions, the
paper's and the release's: it does not say which it used. There is no number for any other arm.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_RESNET18, RAW_PASS, SUMIX, WITHOUT_SUMIX

PAPER = "SUMix as in the paper"

study = Study(
    name="sumix_definitions",
    base={**CIFAR100_RESNET18, "mixer": "cutmix", **WITHOUT_SUMIX},
    arms=(
        Arm("baseline", {}),
        Arm("raw pass", RAW_PASS, control=True),
        Arm("recalibrated", {"recalibrate": True}, control=True),
        Arm(PAPER, SUMIX),
        Arm("statistics left", {**SUMIX, "sumix.raw_statistics": "leave"}, against=PAPER),
        Arm("one pass", {**SUMIX, "sumix.raw_forward": "joint"}, against=PAPER),
        Arm("distance detached", {**SUMIX, "sumix.distance_gradient": "detach"}, against=PAPER),
        Arm("z features", {**SUMIX, "sumix.z": "features"}, against=PAPER),
        Arm("z probabilities", {**SUMIX, "sumix.z": "probabilities"}, against=PAPER),
        Arm("lambda with gradient", {**SUMIX, "sumix.lam_gradient": "flow"}, against=PAPER),
        Arm("lambda of the batch", {**SUMIX, "sumix.lam_of": "batch"}, against=PAPER),
        Arm("half of the batches", {**SUMIX, "mixer.probability": 0.5}, against=PAPER),
        Arm("label as drawn", {**SUMIX, "mixer.label": "drawn"}, against=PAPER),
        Arm("padded with zeros", {**SUMIX, "augment.padding": "zeros"}, against=PAPER),
        Arm("release", {**SUMIX, "sumix.preset": "release"}, against=PAPER),
    ),
)

if __name__ == "__main__":
    main(study, classify.train)
