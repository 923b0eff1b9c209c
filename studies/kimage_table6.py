"""Cells that were found on small images, trained on ImageNet: PC-DARTS (K-image mixing, Table 6).

    python studies/kimage_table1_pyramidnet110.py --arms dcutmix --seeds 1    a network to score the images with
    python analysis/uncertainty.py RUN                                        its scores, in results/uncertainty
    python studies/kimage_table6.py                                           4 arms x 6 seeds, 250 epochs of ImageNet
    python studies/kimage_table6.py --preset quick --arms "PC-DARTS of ImageNet"    without scores, a laptop, CIFAR-10
    python analysis/ablation_table.py kimage_table6 --metric search_seconds       the time of each search

Paper: top-1 and top-5 error %, parameters and operations in millions, and the search in GPU days
    all of CIFAR-100         23.80  7.09  6.3  730  0.1
    CV of CIFAR-100          24.30  7.20  5.8  671  0.01
    PC-DARTS of CIFAR-10     25.10  7.80  5.3  586  0.1
    PC-DARTS of ImageNet     24.20  7.30  5.3  597  3.8
The last two are PC-DARTS's own cells, which are trained without a search: its paper prints these numbers.

A run searches on CIFAR-100 and trains what it found on ImageNet; ``genotype.json`` is the network. Any such file can be
trained again: ``--set genotype_file=FILE``. The recipe is that of PC-DARTS. Its batch of 1,024 goes through the network
in 8 parts, as on 8 GPUs; that number, and the share of the images that the search on uncertain ones sees, are ours. The
short presets search on CIFAR-10 and train on its images enlarged to 64 pixels.
"""

from mixlab import Arm, Study, main
from trainables import search_architecture

SCORES = "results/uncertainty/scores.csv"
ON_IMAGENET = {
    "retrain.dataset": "imagenet",
    "retrain.augment": "rrc_flip",
    "retrain.interpolation": "bilinear",
    "retrain.jitter": 0.4,
    "retrain.hue": 0.2,
    "retrain.label_smoothing": 0.1,
    "retrain.schedule": "linear",
    "retrain.warmup_epochs": 5,
    "retrain.weight_decay": 3e-5,
    "retrain.accumulate": 8,
    "epochs": 250,
    "batch_size": 1024,
    "lr": 0.5,
    "channels": 48,
    "cells": 14,
    "auxiliary": 0.4,
    "drop_path": 0.0,
    "cutout": 0,
}
ENLARGED = {"retrain.dataset": "cifar10", "retrain.image_size": 64}

study = Study(
    name="kimage_table6",
    base={"dataset": "cifar100", "augment.padding": "zeros", **ON_IMAGENET},
    arms=(
        Arm("all of CIFAR-100", {}),
        Arm("CV of CIFAR-100", {"subset.rule": "cv", "subset.share": 0.1, "subset.scores": SCORES}),
        Arm("PC-DARTS of CIFAR-10", {"genotype": "pc_darts_cifar10"}),
        Arm("PC-DARTS of ImageNet", {"genotype": "pc_darts_imagenet"}),
    ),
    presets={
        "quick": {**ENLARGED, "retrain.train_images": 4000, "retrain.test_images": 2000},
        "smoke": {**ENLARGED, "retrain.train_images": 256, "retrain.test_images": 200},
    },
)

if __name__ == "__main__":
    main(study, search_architecture.train)
