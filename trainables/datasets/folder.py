"""Any folder of images: ``train/<class>/``, and ``test/<class>/``, or ``val`` or ``validation`` in place of ``test``.

A study names it by the key ``folder``, and says how many classes there are (``num_classes``), so that it can be checked
before anything starts.
"""

import os
from pathlib import Path

from trainables.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD, DataError, Dataset, Splits
from trainables.datasets.image_files import class_names, in_class_folders, test_folder


def load(folder: Path) -> Splits:
    """List both splits of ``folder``, with the same classes, none of them empty, in the order of their names.

    The test split is empty if it has no folder: a run that tests on held-out training images needs none.
    """
    if not os.path.isdir(folder / "train"):
        fault = "has no folder train" if os.path.isdir(folder) else "is missing"
        raise DataError(
            f"the folder {folder} {fault}; it should have train/ and test/, each with a folder for every class"
        )
    classes = class_names(folder / "train")
    train, tests = in_class_folders(folder / "train", classes), test_folder(folder)
    return Splits(train, in_class_folders(tests, classes) if tests else train.take(slice(0)))


FOLDER = Dataset(
    name="folder",
    num_classes=1000,  # for an estimate only; a run has as many as its key num_classes says
    image_shape=(3, 224, 224),
    num_train=None,
    num_test=None,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    streamed=True,
    crop_ratio=0.875,
    prepare=load,
    load=load,
    in_folder=True,
)
