"""DMixup and DCutMix against the mixers of two images: CIFAR-100, PyramidNet-110 (K-image mixing, Table 1, left).

    python studies/kimage_table1_pyramidnet110.py                    2 protocols x 5 arms x 6 seeds, 300 epochs
    python studies/kimage_table1_pyramidnet110.py --preset quick     minutes on a laptop, on CIFAR-10

Paper, top-1 error %, the best epoch
    none     19.85    dmixup   18.60 (K = 3, alpha = 1/3)
    mixup    18.92    dcutmix  16.95 (K = 5, alpha = 0.2)
    cutmix   17.97

The paper says that it trains as CutMix does; its released code has another weight decay and other milestones. Both
protocols are levels here. The paper's numbers are those of the best epoch, chosen on the test set; the table compares
the median of the last ten.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CUTMIX_PYRAMIDNET110, ON_CIFAR10, PROTOCOLS_110

study = Study(
    name="kimage_table1_pyramidnet110",
    base=CUTMIX_PYRAMIDNET110,
    factors={"protocol": PROTOCOLS_110},
    arms=(
        Arm("none", {"mixer": "none"}),
        Arm("mixup", {"mixer": "mixup", "mixer.alpha": 1.0}),
        Arm("cutmix", {"mixer": "cutmix", "mixer.alpha": 1.0, "mixer.probability": 0.5}),
        Arm("dmixup", {"mixer": "dmixup", "mixer.num_images": 3, "mixer.alpha": 1 / 3}, against="mixup"),
        Arm("dcutmix", {"mixer": "dcutmix", "mixer.num_images": 5, "mixer.alpha": 0.2}, against="cutmix"),
    ),
    metric="test_top1_error_median10",
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
