"""FGVC-Aircraft: 6,667 training (with validation) and 3,333 test photographs of 100 variants of aircraft.

From S. Maji, E. Rahtu, J. Kannala, M. Blaschko and A. Vedaldi, Fine-Grained Visual Classification of Aircraft, 2013,
arXiv:1306.5151. ``fgvc-aircraft-2013b/`` in the data root, as the official archive unpacks.
"""

from pathlib import Path

from trainables.datasets import download
from trainables.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD, DataError, Dataset, Splits
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import listed, read_table, require_count

ARCHIVE_FOLDER = "fgvc-aircraft-2013b"
URL = "https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz"
NUM_CLASSES = 100
NUM_TRAIN = 6_667
NUM_TEST = 3_333


def prepare(root: Path) -> None:
    """Make sure that every image is under ``root``; download them (2.8 GB) if the folder is missing.

    Raises:
        DataError: something is missing; it says what belongs where.
    """
    remedy = f"unpack the official fgvc-aircraft-2013b.tar.gz to {root}"
    if not (root / ARCHIVE_FOLDER).exists():
        download.folders_from_torchvision("FGVCAircraft", root, (ARCHIVE_FOLDER,), ((URL, None),), remedy=remedy)
    try:
        load(root)
    except DataError as error:
        raise DataError(f"FGVC-Aircraft is not complete ({error}); {remedy}") from error


def load(root: Path, *, num_classes: int = NUM_CLASSES, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST) -> Splits:
    """List both splits; the label is the line of the variant in ``variants.txt``.

    Raises:
        DataError: a file is missing, or an image has an unknown variant.
    """
    data = root / ARCHIVE_FOLDER / "data"
    variants = {name: label for label, (name,) in enumerate(read_table(data / "variants.txt", 1, separator="\n"))}
    if len(variants) != num_classes:
        raise DataError(f"{data / 'variants.txt'} lists {len(variants)} variants instead of {num_classes}")
    return Splits(
        require_count(_split(data, "trainval", variants), num_train),
        require_count(_split(data, "test", variants), num_test),
    )


def _split(data: Path, split: str, variants: dict[str, int]) -> FileList:
    table = data / f"images_variant_{split}.txt"
    names: list[str] = []
    labels: list[int] = []
    for image, variant in read_table(table, 2):
        if variant not in variants:
            raise DataError(f"{table} gives image {image} the variant {variant!r}, which is not in variants.txt")
        names.append(f"{image}.jpg")
        labels.append(variants[variant])
    return listed(data / "images", names, labels)


AIRCRAFT = Dataset(
    name="aircraft",
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
