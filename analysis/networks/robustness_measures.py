"""The robustness of one network: its accuracy under corruption and under attack, and its calibration.

These are the numbers of SUMix's Table 5; ``robustness.py`` makes a study's table of them.
"""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import Generator, Tensor

from analysis.networks.evaluate import Result, as_tested, batches
from analysis.networks.transfer import Substitute
from trainables.backbones.backbone import Network
from trainables.config import Config
from trainables.datasets import EVALUATION_SETS
from trainables.datasets.cifar_c import SEVERITIES, by_severity
from trainables.datasets.dataset import BatchSource, Split
from trainables.datasets.opening import dataset_of
from trainables.datasets.resident import Resident, TestView
from trainables.robustness.adversarial import Attack, fgsm, fgsm_sumix_release, logits_under_attack, pgd
from trainables.robustness.calibration import calibration_error, reliability
from trainables.robustness.classifier import predict, top1
from trainables.robustness.corruption import CORRUPT, corrupt

SEED = 0  # the seed of the corruptions and of PGD's start, the same for every network
STYLE = "CIFAR-C-style, made here (frost is drawn), not to be compared with published numbers"


def measure(
    network: Network,
    source: BatchSource,
    config: Config,
    protocol: Mapping[str, Any],
    substitutes: Sequence[Substitute] = (),
) -> Result:
    """Return every measure that the protocol asks for, the bins of a reliability diagram, and each corruption.

    The images are read once, batch by batch; only the network's output for an image is stored. Transferred attacks are
    made on the substitutes, whose SHA-256 are in the protocol.
    """
    attacks = _attacks(network, config, protocol, substitutes)
    official = _official(config, protocol)
    made = protocol["corruptions"] and official is None and dataset_of(config).image_shape[0] == 3
    # One tensor for all images: many small ones that stay, between the large ones of a batch, would keep the allocator
    # from using the memory of one batch for the next.
    logits = torch.empty(len(source), dataset_of(config).num_classes)
    truth = torch.empty(len(source), dtype=torch.int64)
    under_attack: Counter[Name] = Counter()  # how many images are classified correctly
    corrupted: Counter[tuple[str, int]] = Counter()  # the same, by corruption and severity
    first = 0
    for number, (images, labels) in enumerate(batches(source, config)):
        found = predict(network, images)
        rows = slice(first, first + len(labels))
        logits[rows], truth[rows], first = found, labels, rows.stop
        for name, (attack, other) in attacks.items():
            attacked = logits_under_attack(network, images, labels, attack, source=other)
            under_attack[name] += int((attacked.argmax(1) == labels).sum())
        if made:
            corrupted.update(_hits_under_corruption(network, *_originals(source, rows, images), labels, SEED + number))
    logits, truth = logits[:first], truth[:first]  # fewer where images that cannot be decoded are skipped
    errors = {name: 100 - 100 * (under_attack[name] / len(truth)) for name in attacks}
    return {
        **_of_predictions(logits, truth),
        **{name: error for name, error in errors.items() if isinstance(name, str)},
        **_of_transfers(errors, config, substitutes),
        **(_by_corruption(STYLE, {key: 100 * hits / len(truth) for key, hits in corrupted.items()}) if made else {}),
        **(_officially_corrupted(network, config, len(truth), *official) if official else {}),
    }


Name = str | tuple[str, str]  # a measure; or a substitute and the attack that is made on it


def _attacks(
    network: Network, config: Config, protocol: Mapping[str, Any], substitutes: Sequence[Substitute]
) -> dict[Name, tuple[Attack, Network | None]]:
    """Return each attack by its name, and the network that it is made on where that is another."""
    found: dict[Name, tuple[Attack, Network | None]] = {"fgsm_error": (fgsm, None)}
    if protocol["pgd"]:
        found["pgd_error"] = partial(pgd, rng=Generator().manual_seed(SEED)), None
    if protocol["release"]:
        dataset = dataset_of(config)
        found["fgsm_release_error"] = partial(fgsm_sumix_release, mean=dataset.mean, std=dataset.std), None
    for substitute in substitutes:
        other = substitute.network(config)
        if not _same_weights(network, other):  # a network is no substitute for itself
            found[substitute.name, "fgsm"] = fgsm, other
            found[substitute.name, "pgd"] = partial(pgd, rng=Generator().manual_seed(SEED)), other
    return found


def _same_weights(one: Network, other: Network) -> bool:
    mine, theirs = one.backbone.state_dict(), other.backbone.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[key].cpu(), theirs[key].cpu()) for key in mine)


def _of_transfers(errors: Mapping[Name, float], config: Config, substitutes: Sequence[Substitute]) -> Result:
    """Return the error from each substitute, and the mean over those of the same and of another architecture."""
    points = [
        {"substitute": one.name, "box": one.box(config), "attack": attack, "error": errors[one.name, attack]}
        for one in substitutes
        for attack in ("fgsm", "pgd")
        if (one.name, attack) in errors
    ]
    groups: dict[str, list[float]] = {}
    for point in points:
        groups.setdefault(f"{point['attack']}_{point['box']}_error", []).append(float(point["error"]))
    means: Result = {name: mean(values) for name, values in groups.items()}
    return means | ({"transfers": points} if points else {})


def _of_predictions(logits: Tensor, labels: Tensor) -> Result:
    """Return the measures of the logits (N, L) of clean images."""
    bins = reliability(logits, labels)
    return {
        "test_top1_clean": top1(logits, labels),
        "ece": calibration_error(bins),
        "ece_10_bins": calibration_error(reliability(logits, labels, bins=10)),
        "adaptive_ece": calibration_error(reliability(logits, labels, binning="count")),
        "reliability": [
            [count, confidence if count else 0.0, accuracy if count else 0.0]  # JSON has no NaN
            for count, confidence, accuracy in zip(*(part.tolist() for part in bins), strict=True)
        ],
    }


def _official(config: Config, protocol: Mapping[str, Any]) -> tuple[str, Path] | None:
    """Return the name and the data root of the official corrupted images of the data set, if they are to be used."""
    name = f"{config.dataset}_c"
    usable = protocol["corruptions"] and name in protocol["official"]
    return (name, Path(protocol["official"][name])) if usable else None


def _originals(source: BatchSource, rows: slice, images: Tensor) -> tuple[Tensor, TestView | None]:
    """Return the bytes of a batch before the source resizes them, and how it does; photographs are as shown."""
    if isinstance(source, Resident):
        return source.images[rows].permute(0, 3, 1, 2).cpu(), source.test_view
    return (255 * images).round().to(torch.uint8).cpu(), None


def _hits_under_corruption(
    network: Network, pixels: Tensor, resized: TestView | None, labels: Tensor, seed: int
) -> dict[tuple[str, int], int]:
    """Return how many images of a batch are classified correctly, by corruption and severity."""
    hits = {}
    for corruption, level in itertools.product(CORRUPT, range(1, SEVERITIES + 1)):
        shown = corrupt(pixels, corruption, level, seed).to(labels.device)
        shown = (shown if resized is None else resized(shown)) / 255
        hits[corruption, level] = int((predict(network, shown).argmax(1) == labels).sum())
    return hits


def _officially_corrupted(network: Network, config: Config, count: int, name: str, data_root: Path) -> Result:
    accuracy = {}
    for corruption in CORRUPT:
        for level, images in enumerate(official_images(name, data_root, count, corruption), start=1):
            shown = batches(as_tested(images, config), config)
            hits = sum(int((predict(network, pixels).argmax(1) == labels).sum()) for pixels, labels in shown)
            accuracy[corruption, level] = 100 * hits / count
    return _by_corruption(name, accuracy)


def _by_corruption(source: str, accuracy: Mapping[tuple[str, int], float]) -> Result:
    """Return the accuracy under each corruption, by severity, and the mean of all."""
    levels = range(1, SEVERITIES + 1)
    by_severity = {corruption: [accuracy[corruption, level] for level in levels] for corruption in CORRUPT}
    whole = mean(map(mean, by_severity.values()))
    return {"source": source, "corruptions": by_severity, "test_top1_corrupted": whole}


def official_images(name: str, data_root: Path, count: int, corruption: str) -> Iterator[Split]:
    """Yield images (N, 3, 32, 32) uint8 and labels (N,) of severities 1 to 5: those of the clean images, by spacing."""
    split = EVALUATION_SETS[name].load(data_root, corruption)
    assert isinstance(split, Split)  # CIFAR is decoded
    for part in by_severity(split):
        yield part.take(torch.linspace(0, len(part.labels) - 1, count).long())
