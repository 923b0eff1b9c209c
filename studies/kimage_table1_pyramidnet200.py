"""DMixup and DCutMix against mixers and regularisers: CIFAR-100, PyramidNet-200 (K-image mixing, Table 1, left).

    python studies/kimage_table1_pyramidnet200.py                    2 protocols x 10 arms x 6 seeds, 300 epochs
    python studies/kimage_table1_pyramidnet200.py --preset quick     minutes on a laptop, on CIFAR-10

Paper, top-1 error %, the best epoch
    none             16.45    mixup        15.63
    StochDepth       15.86    manifoldmix  15.09
    label smoothing  16.73    cutmix       14.47
    cutout           16.53    dmixup       15.07 (K = 3, alpha = 1)
    DropBlock        15.73    dcutmix      13.86 (K = 5, alpha = 1)

StyleMix (16.37) and StyleCutMix (14.17), which need the weights of a style network, are in kimage_style. The paper
takes the strengths of the regularisers from CutMix's paper: the last block is dropped with probability 0.25, labels are
smoothed by 0.1, cutout's squares are of 16 pixels, and DropBlock blanks a tenth of a map in squares of 4. Fig. 3 is
made from these networks.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CUTMIX_PYRAMIDNET200, ON_CIFAR10, PROTOCOLS_200

study = Study(
    name="kimage_table1_pyramidnet200",
    base={**CUTMIX_PYRAMIDNET200, "mixer": "none"},
    factors={"protocol": PROTOCOLS_200},
    arms=(
        Arm("none", {}),
        Arm("StochDepth", {"drop_path": 0.25}),
        Arm("label smoothing", {"label_smoothing": 0.1}),
        Arm("cutout", {"mixer": "cutout", "mixer.length": 16}),
        Arm("DropBlock", {"drop_block": 0.1, "drop_block_size": 4}),
        Arm("mixup", {"mixer": "mixup", "mixer.alpha": 1.0}),
        Arm("manifoldmix", {"mixer": "manifoldmix", "mixer.alpha": 1.0}),
        Arm("cutmix", {"mixer": "cutmix", "mixer.alpha": 1.0, "mixer.probability": 0.5}),
        Arm("dmixup", {"mixer": "dmixup", "mixer.num_images": 3, "mixer.alpha": 1.0}, against="mixup"),
        Arm(
            "dcutmix",
            {"mixer": "dcutmix", "mixer.num_images": 5, "mixer.alpha": 1.0, "mixer.probability": 0.5},
            against="cutmix",
        ),
    ),
    metric="test_top1_error_median10",
    presets=ON_CIFAR10,
)

if __name__ == "__main__":
    main(study, classify.train)
