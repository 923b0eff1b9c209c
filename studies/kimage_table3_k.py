"""Mixtures of three to nine images: DCutMix with and without saliency, ImageNet (K-image mixing, Table 3, right).

    python studies/kimage_table3_k.py                    2 mixers x 5 arms x 6 seeds, 300 epochs
    python studies/kimage_table3_k.py --preset quick     minutes on a laptop, on CIFAR-10

Paper, top-1 and top-5 error %, alpha = 1, the best epoch
    K  dcutmix      saliency_dcutmix
    3  21.62  5.92  21.40  5.87
    4  22.17  6.23  21.55  6.00
    5  22.02  6.05  21.70  5.93
    7  22.39  6.17  21.44  5.93
    9  22.58  6.34  (not printed)
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CUTMIX_IMAGENET, ON_CIFAR10

study = Study(
    name="kimage_table3_k",
    base=CUTMIX_IMAGENET,
    factors={"mixer": ("dcutmix", "saliency_dcutmix")},
    arms=tuple(Arm(f"K = {number}", {"mixer.num_images": number}) for number in (3, 4, 5, 7, 9)),
    metric="test_top1_error_median10",
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
