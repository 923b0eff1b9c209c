"""Class activation maps without mixing, with CutMix, and with SUMix: ImageNet-1k, ResNet-18 (SUMix, Fig. 3, 6, 7).

    python studies/sumix_cam.py                    4 arms x 6 seeds, 100 epochs
    python studies/sumix_cam.py --preset quick     the same arms with ResNet-8 on CIFAR-10, minutes on a laptop
    python analysis/cam.py sumix_cam               then, the maps of the three networks on the same images

Published, top-1 %, ResNet-18: OpenMixup's for the first two, the paper's own for SUMix
    none            70.04
    CutMix          68.95
    CutMix + SUMix  69.71

The published numbers are medians of the last 5 epochs, of one run each, ours of the last 10. The arm "raw pass", a
control, runs the batch before mixing as SUMix does and learns nothing from it.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import IMAGENET_RESNET18, ON_CIFAR10, RAW_PASS, SUMIX, WITHOUT_SUMIX

CUTMIX = {"mixer": "cutmix", "mixer.alpha": 0.2}

study = Study(
    name="sumix_cam",
    base={**IMAGENET_RESNET18, "mixer": "none", **WITHOUT_SUMIX},
    arms=(
        Arm("none", {}),
        Arm("CutMix", CUTMIX),
        Arm("raw pass", {**CUTMIX, **RAW_PASS}, against="CutMix", control=True),
        Arm("CutMix + SUMix", {**CUTMIX, **SUMIX}, against="CutMix"),
    ),
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
