"""Architecture search on a part of the images: PC-DARTS, CIFAR-100 (K-image mixing, Fig. 5b, Table 6).

    python studies/kimage_table1_pyramidnet110.py --arms dcutmix --seeds 1    a network to score the images with
    python analysis/uncertainty.py RUN                                        its scores, in results/uncertainty
    python studies/kimage_nas.py                                              6 arms x 6 seeds, days on a GPU each
    python studies/kimage_nas.py --preset quick --arms "all images (10 epochs)"    without scores, a laptop, CIFAR-10
    python analysis/ablation_table.py kimage_nas --metric search_seconds          the time of each search
    python analysis/search_time.py kimage_nas                                     Fig. 5b: error by that time

Every run searches first, then trains what it found on all images; ``genotype.json`` is the network. ``kimage_table6``
trains such networks on ImageNet.
"""

from mixlab import Arm, Study, main
from trainables import search_architecture

SCORES = "results/uncertainty/scores.csv"
SHORT = {"search_epochs": 20, "frozen_epochs": 6}  # of the baseline, and so more than the ten of the second arm

study = Study(
    name="kimage_nas",
    base={"dataset": "cifar100", "augment.padding": "zeros"},
    arms=(
        Arm("all images", {}),
        Arm("all images (10 epochs)", {"search_epochs": 10, "frozen_epochs": 5}),
        *(Arm(f"random t = {t}", {"subset.rule": "random", "subset.share": t}) for t in (0.1, 0.2)),
        *(Arm(f"CV t = {t}", {"subset.rule": "cv", "subset.share": t, "subset.scores": SCORES}) for t in (0.1, 0.2)),
    ),
    presets={"quick": {**SHORT, "train_images": 2000}, "smoke": SHORT},
)

if __name__ == "__main__":
    main(study, search_architecture.train)
