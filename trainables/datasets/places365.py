"""Places365-Standard: 1,803,460 training and 36,500 validation photographs of 365 kinds of scene, 256 pixels a side.

From B. Zhou, A. Lapedriza, A. Khosla, A. Oliva and A. Torralba, Places: A 10 Million Image Database for Scene
Recognition, TPAMI 2018. In the data root ``places365/train/<class>/`` and ``places365/val/<class>/``, as the archive
"easyformat" unpacks; or what torchvision downloads, ``places365/data_256_standard/`` and ``places365/val_256/`` beside
the official lists. Networks are tested on the official validation set.
"""

from pathlib import Path

from trainables.datasets import download
from trainables.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD, DataError, Dataset, Splits
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import class_names, in_class_folders, integers, listed, read_table, require_count

FOLDER = "places365"
CATEGORIES = "categories_places365.txt"
NUM_CLASSES = 365
NUM_TRAIN = 1_803_460
NUM_TEST = 36_500

# The list of each split, and the folder that its names are in.
LISTS = (("places365_train_standard.txt", "data_256_standard"), ("places365_val.txt", "val_256"))
URL = "http://data.csail.mit.edu/places/places365/"
LISTS_ARCHIVE = (f"{URL}filelist_places365-standard.tar", "35a0585fee1fa656440f3ab298f8479c")
# What torchvision is asked for, what it leaves, and the archive of the images.
DOWNLOADS = (
    (
        "train-standard",
        (CATEGORIES, "places365_train_standard.txt", "places365_val.txt", "data_256_standard"),
        (f"{URL}train_256_places365standard.tar", "53ca1c756c3d1e7809517cc47c5561c5"),
    ),
    ("val", ("val_256",), (f"{URL}val_256.tar", "e27b17d8d44f4af9a78502beb927f808")),
)


def prepare(root: Path) -> None:
    """Make sure that every image is under ``root``; download them (24 GB) if the folder is missing.

    Raises:
        DataError: something is missing; it says what belongs where.
    """
    folder = root / FOLDER
    remedy = f"unpack the official places365standard_easyformat.tar so that {folder} has train/ and val/"
    if not (folder / "train").exists():
        for split, left, images in DOWNLOADS:
            download.folders_from_torchvision(
                "Places365", folder, left, (LISTS_ARCHIVE, images), remedy=remedy, split=split, small=True
            )
    try:
        load(root)
    except DataError as error:
        raise DataError(f"Places365 is not complete ({error}); {remedy}") from error


def load(root: Path, *, num_classes: int = NUM_CLASSES, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST) -> Splits:
    """List both splits.

    Raises:
        DataError: a file or a folder is missing, or a label is out of range.
    """
    folder = root / FOLDER
    if (folder / CATEGORIES).exists():
        train, test = (_listed(folder, file, images, num_classes) for file, images in LISTS)
    else:
        classes = class_names(folder / "train", num_classes)
        train, test = (in_class_folders(folder / split, classes) for split in ("train", "val"))
    return Splits(require_count(train, num_train), require_count(test, num_test))


def _listed(folder: Path, file: str, images: str, num_classes: int) -> FileList:
    table = read_table(folder / file, 2)
    labels = integers(folder / file, (label for _, label in table))
    for (name, _), label in zip(table, labels, strict=True):
        if not 0 <= label < num_classes:
            raise DataError(f"{folder / file} has a label out of range, {label} for {name}")
    return listed(folder / images, [name.lstrip("/") for name, _ in table], labels)


PLACES365 = Dataset(
    name="places365",
    num_classes=NUM_CLASSES,
    image_shape=(3, 224, 224),
    num_train=NUM_TRAIN,
    num_test=NUM_TEST,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    crop_ratio=0.875,
    prepare=prepare,
    load=load,
)
