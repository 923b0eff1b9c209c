"""Places365-Standard: 1,803,460 training and 36,500 validation photographs of 365 kinds of scene, 256 pixels a side.

From B. Zhou, A. Lapedriza, A. Khosla, A. Oliva and A. Torralba, Places: A 10 Million Image Database for Scene
Recognition, TPAMI 2018. In the data root ``places365/train/<class>/`` and ``places365/val/<class>/``, as the archive
"easyformat" unpacks; or what torchvision downloads, ``places365/data_256_standard/`` and ``places365/val_256/`` next to
the official lists. Networks are tested on the official validation set.
"""

from pathlib import Path

from trainables.datasets import download
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import class_names, in_class_folders
from trainables.datasets.photographs import listed_with_labels, photographs

FOLDER = "places365"
CATEGORIES = "categories_places365.txt"
REMEDY = f"unpack the official places365standard_easyformat.tar so that {{root}}/{FOLDER} has train/ and val/"

# The list of each split, and the folder that its names are in.
LISTS = (("places365_train_standard.txt", "data_256_standard"), ("places365_val.txt", "val_256"))
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
    """Download all (24 GB) if the folder is missing; raise ``DataError`` if that fails."""
    folder = root / FOLDER
    if (folder / "train").exists():
        return
    for archive, md5, names in DOWNLOADS:
        download.unpack_archive("Places365", folder, names, URL + archive, md5, remedy=REMEDY.format(root=root))


def files(root: Path, num_classes: int) -> list[FileList]:
    """List both splits."""
    folder = root / FOLDER
    if (folder / CATEGORIES).exists():
        return [listed_with_labels(folder / file, folder / images, num_classes) for file, images in LISTS]
    classes = class_names(folder / "train", num_classes)
    return [in_class_folders(folder / split, classes) for split in ("train", "val")]


PLACES365 = photographs(
    name="places365",
    title="Places365",
    folder=FOLDER,
    num_classes=365,
    num_train=1_803_460,
    num_test=36_500,
    files=files,
    remedy=REMEDY,
    fetch=fetch,
)
