"""CUB-200-2011: 5,994 training and 5,794 test photographs of birds in 200 species.

From C. Wah, S. Branson, P. Welinder, P. Perona and S. Belongie, The Caltech-UCSD Birds-200-2011 Dataset, 2011.
``CUB_200_2011/`` in the data root, as the official archive unpacks.
"""

from pathlib import Path

from trainables.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD, DataError, Dataset, Splits
from trainables.datasets.image_files import integers, listed, read_table, require_count

FOLDER = "CUB_200_2011"
NUM_CLASSES = 200
NUM_TRAIN = 5_994
NUM_TEST = 5_794


def prepare(root: Path) -> None:
    """Check that every image is present.

    Raises:
        DataError: something is missing; it says what belongs where.
    """
    try:
        load(root)
    except DataError as error:
        raise DataError(
            f"CUB-200-2011 is not complete ({error}); unpack the official CUB_200_2011.tgz to {root}"
        ) from error


def load(root: Path, *, num_classes: int = NUM_CLASSES, num_train: int = NUM_TRAIN, num_test: int = NUM_TEST) -> Splits:
    """List both splits; the label is the official class number less one.

    Raises:
        DataError: a file is missing or broken, or a label is out of range.
    """
    folder = root / FOLDER
    name_of = dict(read_table(folder / "images.txt", 2))
    labels_file, split_file = folder / "image_class_labels.txt", folder / "train_test_split.txt"
    class_of, half_of = dict(read_table(labels_file, 2)), dict(read_table(split_file, 2))
    chosen: dict[str, tuple[list[str], list[int]]] = {"1": ([], []), "0": ([], [])}  # 1: training
    for identifier, name in name_of.items():
        for table, file in ((class_of, labels_file), (half_of, split_file)):
            if identifier not in table:
                raise DataError(f"{file} has no line for image {identifier}, {name}")
        (number,) = integers(labels_file, [class_of[identifier]])
        if not 1 <= number <= num_classes:
            raise DataError(f"{labels_file} has a label out of range, {number} for image {identifier}")
        half = half_of[identifier]
        if half not in chosen:
            raise DataError(f"{split_file} must say 1 (training) or 0 (test), got {half!r} for image {identifier}")
        names, labels = chosen[half]
        names.append(name)
        labels.append(number - 1)
    train, test = (listed(folder / "images", *chosen[half]) for half in ("1", "0"))
    return Splits(require_count(train, num_train), require_count(test, num_test))


CUB200 = Dataset(
    name="cub200",
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
