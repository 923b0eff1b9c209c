"""A set that trained classifiers are only evaluated on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from trainables.datasets.dataset import Images

OUTSIDE, INSIDE = "outside", "inside"  # the two parts of a set with images of none of the classes


@dataclass(frozen=True, kw_only=True)
class EvaluationSet:
    """One such set. ``load`` takes the data root and one of ``parts``; labels are those of ``trained_on``."""

    name: str
    trained_on: str  # the data set, by its name in DATASETS, whose classifiers are evaluated
    parts: tuple[str, ...]
    load: Callable[[Path, str], Images]  # DataError when a file is missing or broken
    classes: Callable[[Path], Tensor] | None = None  # (200,) int64, of the data root: the only logits that count

    def prepare(self, root: Path) -> None:
        """Check every part; ``DataError`` names the first file that is missing or broken."""
        for part in self.parts:
            self.load(root, part)
