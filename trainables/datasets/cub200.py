"""CUB-200-2011: 5,994 training and 5,794 test photographs of birds in 200 species.

From C. Wah, S. Branson, P. Welinder, P. Perona and S. Belongie, The Caltech-UCSD Birds-200-2011 Dataset, 2011.
``CUB_200_2011/`` in the data root, as the official archive unpacks.
"""

from pathlib import Path

from trainables.datasets.dataset import DataError
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import integers, listed, read_table
from trainables.datasets.photographs import photographs

FOLDER = "CUB_200_2011"


def files(root: Path, num_classes: int) -> tuple[FileList, FileList]:
    """List both splits; the label is the official class number less one."""
    folder = root / FOLDER
    name_of = dict(read_table(folder / "images.txt", 2))
    labels_file, split_file = folder / "image_class_labels.txt", folder / "train_test_split.txt"
    class_of, half_of = dict(read_table(labels_file, 2)), dict(read_table(split_file, 2))
    chosen: dict[str, list[tuple[str, int]]] = {"1": [], "0": []}  # 1: training
    for identifier, name in name_of.items():
        for table, file in ((class_of, labels_file), (half_of, split_file)):
            if identifier not in table:
                raise DataError(f"{file} has no line for image {identifier}, {name}")
        (number,) = integers(labels_file, [class_of[identifier]])
        if not 1 <= number <= num_classes:
            raise DataError(
                f"{labels_file} has the label {number} for image {identifier}, but labels lie in 1..{num_classes}"
            )
        half = half_of[identifier]
        if half not in chosen:
            raise DataError(f"{split_file} must say 1 (training) or 0 (test), got {half!r} for image {identifier}")
        chosen[half].append((name, number - 1))
    return listed(folder / "images", chosen["1"]), listed(folder / "images", chosen["0"])


def boxes(root: Path) -> dict[str, tuple[float, float, float, float]]:
    """Return the box around the bird of each image, by the image's name: left, top, right, bottom, in pixels."""
    folder = root / FOLDER
    file, found = folder / "bounding_boxes.txt", {}
    table = {identifier: rest for identifier, *rest in read_table(file, 5)}
    for identifier, name in read_table(folder / "images.txt", 2):
        if identifier not in table:
            raise DataError(f"{file} has no line for image {identifier}, {name}")
        try:
            left, top, width, height = map(float, table[identifier])
        except ValueError as error:
            raise DataError(f"{file} has a line that is not four numbers: {' '.join(table[identifier])}") from error
        found[name] = (left, top, left + width, top + height)
    return found


CUB200 = photographs(
    name="cub200",
    title="CUB-200-2011",
    folder=FOLDER,
    num_classes=200,
    num_train=5_994,
    num_test=5_794,
    files=files,
    remedy="unpack the official CUB_200_2011.tgz to {root}",
    boxes=boxes,
)
