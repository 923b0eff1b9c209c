"""Places205: 2,448,873 training and 20,500 validation photographs of 205 kinds of scene, 256 pixels a side.

From B. Zhou, A. Lapedriza, J. Xiao, A. Torralba and A. Oliva, Learning Deep Features for Scene Recognition using Places
Database, NeurIPS 2014. ``places205/`` in the data root with ``trainvalsplit_places205/``, the official lists, and
``data/vision/torralba/deeplearning/images256/``, as the official archives unpack. Networks are tested on the official
validation set.
"""

from pathlib import Path

from trainables.datasets.file_list import FileList
from trainables.datasets.photographs import listed_with_labels, photographs

LISTS = "places205/trainvalsplit_places205"
IMAGES = "places205/data/vision/torralba/deeplearning/images256"


def files(root: Path, num_classes: int) -> list[FileList]:
    """List both splits."""
    tables = (root / LISTS / f"{split}_places205.csv" for split in ("train", "val"))
    return [listed_with_labels(table, root / IMAGES, num_classes) for table in tables]


PLACES205 = photographs(
    name="places205",
    title="Places205",
    folder="places205",
    num_classes=205,
    num_train=2_448_873,
    num_test=20_500,
    files=files,
    remedy="unpack the official imagesPlaces205_resize.tar.gz and trainvalsplit_places205.tar.gz to {root}/places205",
)
