"""Fine-tunes a detector and tests it: recipes, the loop, and the detections of the test photographs.

The recipes are Detectron2's for R50-C4, which AutoMix's Table 5 names: 24,000 iterations on VOC, the 2x schedule on
COCO.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.models.detection import FasterRCNN
from tqdm import tqdm

from trainables.datasets.dataset import DataError
from trainables.datasets.decoding import decode
from trainables.detection.annotated import Annotated
from trainables.detection.average_precision import Detections
from trainables.seeds import derive_seed

WARMUP_START = 0.001  # of the learning rate


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The recipe by which a detector is fine-tuned; lengths are in pixels, times in iterations."""

    iterations: int
    milestones: tuple[int, ...]  # the learning rate falls to a tenth at each
    sides: tuple[int, ...]  # of an image's shorter side in training, one of which is drawn for each image
    batch_size: int = 16
    lr: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup: int = 100
    longest: int = 1333  # the most pixels of an image's longer side
    test_side: int = 800  # its shorter side in tests
    anchors: tuple[int, ...] = (32, 64, 128, 256, 512)  # the sides of the boxes that are proposed
    regions: int = 512  # proposed boxes of a photograph that the head learns from
    frozen_stages: int = 2  # the stem and the first stage
    frozen_norm: bool = True  # keep the statistics and the scales of every batch norm as they are


RECIPES = {
    "voc": Recipe(iterations=24_000, milestones=(18_000, 22_000), sides=tuple(range(480, 801, 32))),
    "coco": Recipe(iterations=180_000, milestones=(120_000, 160_000), sides=tuple(range(640, 801, 32)), warmup=1000),
}


class Photographs(Dataset[tuple[Tensor, dict[str, Tensor]]]):
    """Decoded photographs (3, H, W) in [0, 1] and the objects to learn; by -1 minus its number, one is mirrored."""

    def __init__(self, images: Sequence[Annotated]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return one photograph, its boxes (n, 4) and their labels (n,)."""
        image = self.images[index if index >= 0 else -1 - index]
        target = {
            "boxes": torch.tensor([image.boxes[place] for place in image.learned], dtype=torch.float32).view(-1, 4),
            "labels": torch.tensor([image.labels[place] for place in image.learned], dtype=torch.int64),
        }
        pixels = decode(image.file).float() / 255
        return (pixels, target) if index >= 0 else mirrored(pixels, target)


def mirrored(image: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return a photograph (3, H, W) and its boxes, left to right."""
    left, top, right, bottom = target["boxes"].unbind(1)
    width = image.shape[2]
    return image.flip(2), {**target, "boxes": torch.stack((width - right, top, width - left, bottom), 1)}


def fine_tune(
    detector: FasterRCNN, images: Sequence[Annotated], recipe: Recipe, seed: int, device: torch.device
) -> None:
    """Train a detector in place; photographs without an object to learn are left out, as in Detectron2.

    The seed is that of the order, of the mirrored images, and of the regions and sizes that are drawn. ``DataError``
    says that no photograph is left.
    """
    useful = [image for image in images if image.learned]
    if not useful:
        raise DataError(f"none of the {len(images)} photographs to train on has an object to learn")
    rng = torch.Generator().manual_seed(derive_seed(seed, "detection"))
    trained = [parameter for parameter in detector.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, recipe.lr, recipe.momentum, weight_decay=recipe.weight_decay)
    detector.to(device).train()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(derive_seed(seed, "regions"))
        batches = _loader(Photographs(useful), _batches(len(useful), recipe, rng), device)
        for step, (photographs, targets) in enumerate(tqdm(batches, "fine-tuning", disable=None, leave=False)):
            for group in optimiser.param_groups:
                group["lr"] = recipe.lr * rate(step, recipe)
            there = [{name: value.to(device) for name, value in target.items()} for target in targets]
            losses = detector([image.to(device) for image in photographs], there)
            optimiser.zero_grad(set_to_none=True)
            sum(losses.values()).backward()
            optimiser.step()


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
    for (image,), _ in tqdm(_loader(Photographs(images), batches, device), "testing", disable=None, leave=False):
        (seen,) = detector([image.to(device)])
        found.append(Detections(seen["boxes"].tolist(), seen["labels"].tolist(), seen["scores"].tolist()))
    return found


def _batches(count: int, recipe: Recipe, rng: torch.Generator) -> list[list[int]]:
    """Return the indices of the photographs of every iteration, epoch after epoch; half of them are mirrored."""
    order: list[int] = []
    while len(order) < recipe.iterations * recipe.batch_size:
        indices = torch.randperm(count, generator=rng)
        order += torch.where(torch.rand(count, generator=rng) < 0.5, -1 - indices, indices).tolist()
    starts = range(0, recipe.iterations * recipe.batch_size, recipe.batch_size)
    return [order[start : start + recipe.batch_size] for start in starts]


def _loader(
    images: Photographs, batches: list[list[int]], device: torch.device
) -> Iterator[tuple[list[Tensor], list[dict[str, Tensor]]]]:
    workers = torch.get_num_threads() if device.type == "cuda" else 0
    yield from DataLoader(images, batch_sampler=batches, num_workers=workers, collate_fn=_columns)


def _columns(rows: list[Any]) -> tuple[list[Any], list[Any]]:
    images, targets = zip(*rows, strict=True)
    return list(images), list(targets)
