"""CUB-200-2011: 5,994 training and 5,794 test photographs of birds in 200 species.

From C. Wah, S. Branson, P. Welinder, P. Perona and S. Belongie, The Caltech-UCSD Birds-200-2011 Dataset, 2011.
``CUB_200_2011/`` in the data root, as the official archive unpacks.
"""

from pathlib import Path

from trainables.datasets.dataset import DataError
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import listed, read_table
from trainables.datasets.photographs import photographs

FOLDER = "CUB_200_2011"
HALVES = ("1", "0")  # the official list's words for images to train on, and to test on


def files(root: Path, num_classes: int) -> list[FileList]:
    """List both splits; the label is the official class number less one."""
    labels_file, split_file = root / FOLDER / "image_class_labels.txt", root / FOLDER / "train_test_split.txt"
    class_of, half_of = of_images(labels_file, 2), of_images(split_file, 2)
    pairs = [[(name, class_of[name][0]) for name, (half,) in half_of.items() if half == own] for own in HALVES]
    label_of = {str(number): number - 1 for number in range(1, num_classes + 1)}
    return [listed(root / FOLDER / "images", labels_file, each, label_of) for each in pairs]


def of_images(file: Path, columns: int) -> dict[str, list[str]]:
    """Return the words that a file of ``columns`` has for each image after its number, by the image's name."""
    words_of = {identifier: words for identifier, *words in read_table(file, columns)}
    names = read_table(file.with_name("images.txt"), 2)
    if lacking := [words for words in names if words[0] not in words_of]:
        raise DataError(f"{file} has no line for image {', '.join(lacking[0])}")
    return {name: words_of[identifier] for identifier, name in names}


def boxes(root: Path) -> dict[str, tuple[float, float, float, float]]:
    """Return the box around the bird of each image, by the image's name: left, top, right, bottom, in pixels."""
    found = {}
    for name, words in of_images(root / FOLDER / "bounding_boxes.txt", 5).items():
        left, top, width, height = map(float, words)
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
