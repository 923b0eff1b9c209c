"""DMixup and DCutMix against the mixers of two images: CIFAR-10, PyramidNet-200 (K-image mixing, Table 1, right).

    python studies/kimage_table1_cifar10.py                    2 protocols x 7 arms x 6 seeds, 300 epochs
    python studies/kimage_table1_cifar10.py --preset quick     minutes on a laptop

Paper, top-1 error %, the best epoch
    none    3.85    manifoldmix  3.15
    cutout  3.10    cutmix       2.88
    mixup   3.09    dmixup       2.90 (K = 5, alpha = 0.2)
                    dcutmix      2.42 (K = 3, alpha = 1/3)

The paper says that it trains as CutMix does; its released code has another weight decay and other milestones. Both
protocols are levels here. Cutout's squares of 16 pixels are those of CutMix's paper.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CUTMIX_PYRAMIDNET200, PROTOCOLS_200

study = Study(
    name="kimage_table1_cifar10",
    base=CUTMIX_PYRAMIDNET200,
    factors={"protocol": {name: {**recipe, "dataset": "cifar10"} for name, recipe in PROTOCOLS_200.items()}},
    arms=(
        Arm("none", {"mixer": "none"}),
        Arm("cutout", {"mixer": "cutout", "mixer.length": 16}),
        Arm("mixup", {"mixer": "mixup", "mixer.alpha": 1.0}),
        Arm("manifoldmix", {"mixer": "manifoldmix", "mixer.alpha": 1.0}),
        Arm("cutmix", {"mixer": "cutmix", "mixer.alpha": 1.0, "mixer.probability": 0.5}),
        Arm("dmixup", {"mixer": "dmixup", "mixer.num_images": 5, "mixer.alpha": 0.2}, against="mixup"),
        Arm("dcutmix", {"mixer": "dcutmix", "mixer.num_images": 3, "mixer.alpha": 1 / 3}, against="cutmix"),
    ),
    metric="test_top1_error_median10",
)

if __name__ == "__main__":
    main(study, classify.train)
