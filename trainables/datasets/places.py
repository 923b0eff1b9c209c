"""Places205 and Places365-Standard: photographs of 205 and of 365 kinds of scene, 256 pixels a side.

From B. Zhou, A. Lapedriza, J. Xiao, A. Torralba and A. Oliva, Learning Deep Features for Scene Recognition using Places
Database, NeurIPS 2014, and B. Zhou, A. Lapedriza, A. Khosla, A. Oliva and A. Torralba, Places: A 10 Million Image
Database for Scene Recognition, TPAMI 2018. Networks are tested on the official validation sets.

``places205/`` in the data root with ``trainvalsplit_places205/``, the official lists, and
``data/vision/torralba/deeplearning/images256/``, as the official archives unpack. ``places365/train/<class>/`` and
``places365/val/<class>/``, as the archive "easyformat" unpacks; or what torchvision downloads,
``places365/data_256_standard/`` and ``places365/val_256/`` next to the official lists.
"""

import os
from pathlib import Path

from trainables.datasets import download
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import class_names, entries, in_class_folders, listed, read_table
from trainables.datasets.photographs import photographs

LISTS_205 = "places205/trainvalsplit_places205"
IMAGES_205 = "places205/data/vision/torralba/deeplearning/images256"


def _split(table: Path, images: Path, num_classes: int) -> FileList:
    pairs = ((name.lstrip("/"), label) for name, label in read_table(table, 2))
    return listed(images, table, pairs, {str(label): label for label in range(num_classes)})


def files_205(root: Path, num_classes: int) -> list[FileList]:
    """List both splits of Places205."""
    tables = (root / LISTS_205 / f"{split}_places205.csv" for split in ("train", "val"))
    return [_split(table, root / IMAGES_205, num_classes) for table in tables]


PLACES205 = photographs(
    name="places205",
    title="Places205",
    folder="places205",
    num_classes=205,
    num_train=2_448_873,
    num_test=20_500,
    files=files_205,
    remedy="unpack the official imagesPlaces205_resize.tar.gz and trainvalsplit_places205.tar.gz to {root}/places205",
)

FOLDER_365 = "places365"
CATEGORIES = "categories_places365.txt"
REMEDY_365 = f"unpack the official places365standard_easyformat.tar so that {{root}}/{FOLDER_365} has train/ and val/"

# The list of each split, and the folder that its names are in.
LISTS_365 = (("places365_train_standard.txt", "data_256_standard"), ("places365_val.txt", "val_256"))
URL = "http://data.csail.mit.edu/places/places365/"
# Each archive, its md5, and what is taken out of it, with the names that torchvision gives.
DOWNLOADS: tuple[tuple[str, str, dict[str, str]], ...] = (
    (
        "filelist_places365-standard.tar",
        "35a0585fee1fa656440f3ab298f8479c",
        {name: name for name in (CATEGORIES, "places365_train_standard.txt", "places365_val.txt")},
    ),
    ("train_256_places365standard.tar", "53ca1c756c3d1e7809517cc47c5561c5", {"data_256": "data_256_standard"}),
    ("val_256.tar", "e27b17d8d44f4af9a78502beb927f808", {"val_256": "val_256"}),
)


def fetch(root: Path) -> None:
    """Download all (24 GB) unless the folder has something else; raise ``DataError`` if that fails."""
    folder = root / FOLDER_365
    own = {name for *_, names in DOWNLOADS for name in names.values()}
    if os.path.isdir(folder) and any(
        file.name not in own and not file.name.startswith(".") for file in entries(folder)
    ):
        return
    for archive, md5, names in DOWNLOADS:
        download.unpack_archive("Places365", folder, names, URL + archive, md5, remedy=REMEDY_365.format(root=root))


def files_365(root: Path, num_classes: int) -> list[FileList]:
    """List both splits of Places365."""
    folder = root / FOLDER_365
    if os.path.exists(folder / CATEGORIES):
        return [_split(folder / file, folder / images, num_classes) for file, images in LISTS_365]
    classes = class_names(folder / "train", num_classes)
    return [in_class_folders(folder / split, classes) for split in ("train", "val")]


PLACES365 = photographs(
    name="places365",
    title="Places365",
    folder=FOLDER_365,
    num_classes=365,
    num_train=1_803_460,
    num_test=36_500,
    files=files_365,
    remedy=REMEDY_365,
    fetch=fetch,
)
