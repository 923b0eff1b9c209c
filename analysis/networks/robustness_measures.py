"""What one network is worth beside its accuracy: under corruption, under attack, and as a judge of itself.

The numbers of SUMix's Table 5; ``robustness.py`` makes a study's table of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Generator, Tensor

from analysis.networks.evaluate import Result
from analysis.networks.transfer import Attacker
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets import EVALUATION_SETS
from trainables.datasets.cifar_c import SEVERITIES, severity
from trainables.datasets.dataset import Split
from trainables.datasets.opening import dataset_of
from trainables.robustness.adversarial import error_under_attack, fgsm, fgsm_sumix_release, pgd
from trainables.robustness.calibration import adaptive_calibration_error, expected_calibration_error, reliability
from trainables.robustness.classifier import predict, top1
from trainables.robustness.corruption import CORRUPT, corrupt

SEED = 0  # of the corruptions and of PGD's start, the same for every network
STYLE = "CIFAR-C-style, made here (frost is drawn), not to be compared with published numbers"


def measure(
    network: Network,
    images: Tensor,
    labels: Tensor,
    config: Config,
    protocol: Mapping[str, Any],
    attacker: Attacker | None = None,
) -> Result:
    """Every measure that the protocol asks for, the bins of a reliability diagram, and each corruption by itself.

    Args:
        network: in evaluation mode.
        images: (N, C, H, W) pixels in [0, 1].
        labels: (N,) int64.
        config: of the network.
        protocol: what is asked for.
        attacker: on which the transferred attack is made; its SHA-256 is in the protocol.
    """
    logits = predict(network, images)
    bins = reliability(logits, labels)
    found: Result = {
        "test_top1_clean": top1(logits, labels),
        "ece": expected_calibration_error(logits, labels),
        "adaptive_ece": adaptive_calibration_error(logits, labels),
        "fgsm_error": error_under_attack(network, images, labels, fgsm),
        "reliability": [
            [count, confidence if count else 0.0, accuracy if count else 0.0]  # JSON has no NaN
            for count, confidence, accuracy in zip(*(part.tolist() for part in bins), strict=True)
        ],
        "images": len(images),
    }
    if protocol["pgd"]:
        start = Generator().manual_seed(SEED)
        found["pgd_error"] = error_under_attack(network, images, labels, partial(pgd, rng=start))
    if attacker is not None:
        found["transfer_error"] = error_under_attack(network, images, labels, fgsm, source=attacker.network(config))
    if protocol["release"]:
        dataset = dataset_of(config)
        release = partial(fgsm_sumix_release, mean=dataset.mean, std=dataset.std)
        found["fgsm_release_error"] = error_under_attack(network, images, labels, release)
    if images.shape[1] == 3 and protocol["corruptions"]:
        name = f"{config.dataset}_c"
        official = Path(protocol["official"][name]) if name in protocol["official"] else None
        if official is not None and images.shape[2:] == (32, 32):
            found["source"], shown = name, partial(official_images, name, official, len(images))
        else:
            found["source"], shown = STYLE, partial(corrupted_images, images, labels)
        accuracy = {
            corruption: [
                top1(predict(network, pixels.to(images.device) / 255), wanted.to(images.device))
                for pixels, wanted in shown(corruption)
            ]
            for corruption in CORRUPT
        }
        found["corruptions"] = accuracy
        found["test_top1_corrupted"] = mean(mean(by_severity) for by_severity in accuracy.values())
    return found


def corrupted_images(images: Tensor, labels: Tensor, corruption: str) -> Iterator[tuple[Tensor, Tensor]]:
    """For severities 1 to 5, images (N, 3, H, W) uint8 and labels (N,), made from clean images (N, 3, H, W)."""
    pixels = (255 * images).round().to(torch.uint8).cpu()
    for level in range(1, SEVERITIES + 1):
        yield corrupt(pixels, corruption, level, SEED), labels


def official_images(name: str, data_root: Path, count: int, corruption: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The same from the official files: the ``count`` evenly spaced images that the clean ones are."""
    split = EVALUATION_SETS[name].load(data_root, corruption)
    assert isinstance(split, Split)  # CIFAR is decoded
    for level in range(1, SEVERITIES + 1):
        part = severity(split, level)
        yield part.take(torch.linspace(0, len(part.labels) - 1, count).long())
