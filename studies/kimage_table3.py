"""Saliency-DCutMix against DCutMix, DMixup and the mixers of two images: ImageNet (K-image mixing, Table 3, left).

    python studies/kimage_table3.py                    7 arms x 6 seeds of ResNet-50, 300 epochs
    python studies/kimage_table3.py --preset quick     minutes on a laptop, on CIFAR-10

Paper, top-1 and top-5 error %, the best epoch
    none              23.68  7.05
    mixup             22.58  6.40
    manifoldmix       22.50  6.21
    cutmix            21.40  5.92
    dmixup            21.88  6.15
    dcutmix           21.76  5.91
    saliency_dcutmix  21.38  5.87
with K = 3 and alpha = 1/3. The recipe is CutMix's: a step each 75 epochs, colour jitter and PCA lighting.

Tables 4 and 5 are measured on the same networks:
    python analysis/out_of_distribution.py kimage_table3                      ImageNet-O and ImageNet-A
    python analysis/robustness.py kimage_table3 --substitutes none:1,torchvision/resnet152_imagenet
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CUTMIX_IMAGENET, ON_CIFAR10

THREE = {"mixer.num_images": 3, "mixer.alpha": 1 / 3}

study = Study(
    name="kimage_table3",
    base=CUTMIX_IMAGENET,
    arms=(
        Arm("none", {"mixer": "none"}),
        Arm("mixup", {"mixer": "mixup"}),
        Arm("manifoldmix", {"mixer": "manifoldmix"}),
        Arm("cutmix", {"mixer": "cutmix"}),
        Arm("dmixup", {"mixer": "dmixup", **THREE}, against="mixup"),
        Arm("dcutmix", {"mixer": "dcutmix", **THREE}, against="cutmix"),
        Arm("saliency_dcutmix", {"mixer": "saliency_dcutmix", **THREE}, against="cutmix"),
    ),
    metric="test_top1_error_median10",
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
