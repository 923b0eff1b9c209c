"""Fine-tunes a detector and tests it: recipes, the loop, and the detections of the test photographs.

AutoMix's Table 5 names Detectron2's R50-C4, 24,000 iterations on VOC and the 2x schedule on COCO. Its released code
(OpenMixup) refers to MoCo's configurations, which have these and train every layer, batch norms too: K. He et al.,
"Momentum Contrast for Unsupervised Visual Representation Learning", CVPR 2020, arXiv:1911.05722.
"""

import collections
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import FasterRCNN

from trainables.backbones.modes import batch_norms
from trainables.datasets.dataset import DataError
from trainables.datasets.decoding import decode
from trainables.detection.annotated import Annotated
from trainables.detection.average_precision import Detections
from trainables.progress import progress
from trainables.seeds import derive_seed

WARMUP_START = 0.001  # the share of the learning rate at the first step
NORM_BATCHES = 200  # batches that give the batch norms' statistics at the end ("precise" in Detectron2)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The recipe by which a detector is fine-tuned; lengths are in pixels, times in iterations."""

    iterations: int
    milestones: tuple[int, ...]  # the learning rate falls to a tenth at each
    sides: tuple[int, ...]  # an image's shorter side: drawn for each in training, the last in tests
    batch_size: int = 16
    lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup: int = 100
    longest: int = 1333  # the most pixels of an image's longer side
    anchors: tuple[int, ...] = (32, 64, 128, 256, 512)  # the sides of the boxes that are proposed
    regions: int = 512  # proposed boxes of a photograph that the head learns from


RECIPES = {
    "voc": Recipe(iterations=24_000, milestones=(18_000, 22_000), sides=tuple(range(480, 801, 32))),
    "coco": Recipe(iterations=180_000, milestones=(120_000, 160_000), sides=tuple(range(640, 801, 32)), warmup=1000),
}


Photograph = tuple[Tensor, dict[str, Tensor]]  # (3, H, W) in [0, 1]; its boxes (n, 4) and their labels (n,)


class Photographs(Dataset[Photograph]):
    """Decoded photographs (3, H, W) in [0, 1] and the objects to learn; index -1 - n is photograph n, mirrored."""

    def __init__(self, images: Sequence[Annotated]) -> None:
        self.images = images

    def __getitem__(self, index: int) -> Photograph:
        """Return one photograph, its boxes (n, 4) and their labels (n,)."""
        image = self.images[index if index >= 0 else -1 - index]
        target = {
            "boxes": torch.tensor([image.boxes[place] for place in image.counted], dtype=torch.float32).view(-1, 4),
            "labels": torch.tensor([image.labels[place] for place in image.counted], dtype=torch.int64),
        }
        pixels = decode(image.file).float() / 255
        return (pixels, target) if index >= 0 else mirrored(pixels, target)


def mirrored(image: Tensor, target: dict[str, Tensor]) -> Photograph:
    """Return a photograph (3, H, W) and its boxes, left to right."""
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[2]
    return image.flip(2), {**target, "boxes": torch.stack((width - right, top, width - left, bottom), 1)}


def fine_tune(
    detector: FasterRCNN, images: Sequence[Annotated], recipe: Recipe, seed: int, device: torch.device
) -> None:
    """Train a detector in place; photographs without an object to learn are left out, as in Detectron2.

    Batch norms do not decay, and test with the mean statistics of ``NORM_BATCHES`` batches, or of as many as there were
    steps. The seed is that of the order, of the mirrored images, and of the regions and sizes that are drawn.
    ``DataError`` says that no photograph is left.
    """
    useful = [image for image in images if image.counted]
    if not useful:
        raise DataError("no photograph to train on has an object to learn")
    rng = torch.Generator().manual_seed(derive_seed(seed, "detection"))
    detector.to(device).train()
    optimiser = _optimiser(detector, recipe)

    def losses(steps: int, doing: str) -> Iterator[Tensor]:
        """Yield the sum of the losses of one batch after another."""
        batches = _batches(len(useful), steps, recipe.batch_size, rng)
        for rows in progress(_loader(Photographs(useful), batches, device), doing):
            pixels = [image.to(device) for image, _ in rows]
            targets = [{name: value.to(device) for name, value in target.items()} for _, target in rows]
            yield torch.stack(list(detector(pixels, targets).values())).sum()

    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "regions"))
        for step, loss in enumerate(losses(recipe.iterations, "fine-tuning")):
            for group in optimiser.param_groups:
                group["lr"] = recipe.lr * rate(step, recipe)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        for norm in batch_norms(detector):
            norm.reset_running_stats()
            norm.momentum = None  # each batch counts alike
        with torch.no_grad():
            collections.deque(losses(min(NORM_BATCHES, recipe.iterations), "averaging norms"), maxlen=0)


def _optimiser(detector: FasterRCNN, recipe: Recipe) -> torch.optim.SGD:
    scales = [parameter for norm in batch_norms(detector) for parameter in norm.parameters()]
    free = {id(parameter) for parameter in scales}
    decayed = [parameter for parameter in detector.parameters() if id(parameter) not in free]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": scales}]
    return torch.optim.SGD(groups, recipe.lr, recipe.momentum)


def rate(step: int, recipe: Recipe) -> float:
    """Return the share of the learning rate at a step from 0: a linear warm-up, then a tenth after each milestone."""
    started = WARMUP_START + (1 - WARMUP_START) * min(1.0, step / max(1, recipe.warmup))
    return started * 0.1 ** sum(step >= milestone for milestone in recipe.milestones)


@torch.no_grad()
def detect(detector: FasterRCNN, images: Sequence[Annotated], device: torch.device) -> list[Detections]:
    """Return the objects that a detector finds in each photograph, at most 100."""
    detector.to(device).eval()
    found = []
    batches = [[index] for index in range(len(images))]
    for ((image, _),) in progress(_loader(Photographs(images), batches, device), "testing"):
        (seen,) = detector([image.to(device)])
        found.append(Detections(seen["boxes"].tolist(), seen["labels"].tolist(), seen["scores"].tolist()))
    return found


def _batches(count: int, steps: int, batch_size: int, rng: torch.Generator) -> list[list[int]]:
    """Return the indices of the photographs of every step, epoch after epoch; half of them are mirrored."""
    order: list[int] = []
    while len(order) < steps * batch_size:
        indices = torch.randperm(count, generator=rng)
        order += torch.where(torch.rand(count, generator=rng) < 0.5, -1 - indices, indices).tolist()
    return [order[start : start + batch_size] for start in range(0, steps * batch_size, batch_size)]


def _loader(images: Photographs, batches: list[list[int]], device: torch.device) -> DataLoader[Photograph]:
    workers = torch.get_num_threads() if device.type == "cuda" else 0
    return DataLoader(images, batch_sampler=batches, num_workers=workers, collate_fn=list)
