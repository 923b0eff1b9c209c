"""Mixtures of two images and more: CIFAR-10, DMixup against mixup and DCutMix against CutMix (K-image mixing).

    python studies/kimage_k.py                    8 arms x 6 seeds of PyramidNet-110, 300 epochs
    python studies/kimage_k.py --preset quick     a quarter of an hour on two processors

The paper has no such table for small images. Every share is drawn with alpha = 1. DMixup of two images is mixup with
another draw, so that the arm "dmixup K = 2" shows what chance alone does; DCutMix of two differs from CutMix in that
its patch lies inside the image.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_PYRAMIDNET110

study = Study(
    name="kimage_k",
    base={**CIFAR100_PYRAMIDNET110, "dataset": "cifar10", "mixer.alpha": 1.0},
    arms=(
        Arm("mixup", {"mixer": "mixup"}),
        *(Arm(f"dmixup K = {k}", {"mixer": "dmixup", "mixer.num_images": k}) for k in (2, 3, 5)),
        Arm("cutmix", {"mixer": "cutmix"}),
        *(Arm(f"dcutmix K = {k}", {"mixer": "dcutmix", "mixer.num_images": k}, against="cutmix") for k in (2, 3, 5)),
    ),
    metric="test_top1_error_median10",
)

if __name__ == "__main__":
    main(study, classify.train)
