"""Training on a part of the images: share t against rule, CIFAR-100, PyramidNet-110 (K-image mixing, Fig. 5a).

    python studies/kimage_table1_pyramidnet110.py --arms dcutmix --seeds 1    a network to score the images with
    python analysis/uncertainty.py RUN --baselines                            its scores, in results/uncertainty
    python studies/kimage_subsampling.py                                      4 shares x 7 arms x 6 seeds, 300 epochs
    python analysis/subsampling.py kimage_subsampling                         the figure

On two processors, half an hour for all four, the last two with 3 seeds:
    python studies/kimage_table1_cifar10.py --preset quick --arms dcutmix --seeds 1
    python analysis/uncertainty.py RUN --baselines --images 20000
    python studies/kimage_subsampling.py --preset quick

The paper has this as a figure without numbers; it says that a high coefficient of variation (CV) gives 5.79 points less
error than random images at t = 0.05, and that easy, hard and high-deviation images give more. Every class gives the
same share. The subset is the same for all seeds; that of the arm "random" changes with ``--set subset.draw=1``.
"""

from mixlab import Arm, Study, main
from trainables import classify
from trainables.recipes import CIFAR100_PYRAMIDNET110, ON_CIFAR10

SCORES = "results/uncertainty/scores.csv"
RULES = {
    "CV": "cv",
    "easy": "easy",
    "hard": "hard",
    "standard deviation": "std",
    "dropout": "dropout",
    "K-centre": "k_centre",
}
LONGER = {"train_images": 20_000, "test_images": 2_000, "epochs": 8, "seeds": 3}

study = Study(
    name="kimage_subsampling",
    base={**CIFAR100_PYRAMIDNET110, "mixer": "dcutmix", "mixer.num_images": 5, "mixer.alpha": 0.2},
    factors={"subset.share": (0.05, 0.1, 0.2, 0.4)},
    arms=(
        Arm("random", {"subset.rule": "random"}),
        *(Arm(name, {"subset.rule": rule, "subset.scores": SCORES}) for name, rule in RULES.items()),
    ),
    metric="test_top1_error_median10",
    presets={**ON_CIFAR10, "quick": {**ON_CIFAR10["quick"], **LONGER}},
)

if __name__ == "__main__":
    main(study, classify.train)
