"""FGVC-Aircraft: 6,667 training (with validation) and 3,333 test photographs of 100 variants of aircraft.

From S. Maji, E. Rahtu, J. Kannala, M. Blaschko and A. Vedaldi, Fine-Grained Visual Classification of Aircraft, 2013,
arXiv:1306.5151. ``fgvc-aircraft-2013b/`` in the data root, as the official archive unpacks.
"""

from collections.abc import Mapping
from pathlib import Path

from trainables.datasets import download
from trainables.datasets.dataset import DataError
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import listed, read_table
from trainables.datasets.photographs import photographs

ARCHIVE_FOLDER = "fgvc-aircraft-2013b"
URL = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz"
REMEDY = "unpack the official fgvc-aircraft-2013b.tar.gz to {root}"


def fetch(root: Path) -> None:
    """Download the archive (2.8 GB) if its folder is missing; raise ``DataError`` if that fails."""
    names = {ARCHIVE_FOLDER: ARCHIVE_FOLDER}
    download.unpack_archive("FGVC-Aircraft", root, names, URL, remedy=REMEDY.format(root=root))


def files(root: Path, num_classes: int) -> list[FileList]:
    """List both splits; the label is the line of the variant in ``variants.txt``."""
    data = root / ARCHIVE_FOLDER / "data"
    variants = {name: label for label, (name,) in enumerate(read_table(data / "variants.txt", 1, separator="\n"))}
    if len(variants) != num_classes:
        raise DataError(f"{data / 'variants.txt'} lists {len(variants)} variants instead of {num_classes}")
    return [_split(data, data / f"images_variant_{split}.txt", variants) for split in ("trainval", "test")]


def _split(data: Path, table: Path, label_of: Mapping[str, int]) -> FileList:
    pairs = ((f"{image}.jpg", variant) for image, variant in read_table(table, 2))
    return listed(data / "images", table, pairs, label_of)


AIRCRAFT = photographs(
    name="aircraft",
    title="FGVC-Aircraft",
    folder=ARCHIVE_FOLDER,
    num_classes=100,
    num_train=6_667,
    num_test=3_333,
    files=files,
    remedy=REMEDY,
    fetch=fetch,
)
