"""ImageNet-1K (ILSVRC 2012): 1,281,167 training and 50,000 validation photographs in 1,000 classes.

From O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015, arXiv:1409.0575.

``imagenet/train/<wnid>/`` and ``imagenet/val/<wnid>/`` in the data root; or the validation images flat in
``imagenet/val/``, as their archive has them, next to ``imagenet/ILSVRC2012_devkit_t12/``. Networks are tested on the
official validation set, as everywhere. Classes are numbered in the order of their wnids.
"""

from pathlib import Path

import scipy.io

from trainables.datasets.dataset import DataError
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import class_names, in_class_folders, integers, listed, read_table
from trainables.datasets.photographs import photographs

FOLDER = "imagenet"
DEVKIT = "ILSVRC2012_devkit_t12/data"
NUM_CLASSES = 1000


def files(root: Path, num_classes: int) -> tuple[FileList, FileList]:
    """List both splits."""
    folder = root / FOLDER
    classes = class_names(folder / "train", num_classes)
    return in_class_folders(folder / "train", classes), validation(root, classes)


def validation(root: Path, classes: list[str]) -> FileList:
    """Return the validation images, in class folders or flat; raise ``DataError`` if one is missing."""
    folder = root / FOLDER
    if any((folder / "val").glob("ILSVRC2012_val_*")):
        return flat_validation(folder, classes)
    return in_class_folders(folder / "val", classes)


def flat_validation(folder: Path, classes: list[str]) -> FileList:
    """Return the validation images, all in one folder as in their archive, with the labels of the development kit."""
    meta = folder / DEVKIT / "meta.mat"
    place = {wnid: label for label, wnid in enumerate(classes)}
    try:
        synsets = scipy.io.loadmat(meta, squeeze_me=True)["synsets"]
        label_of = {int(synset["ILSVRC2012_ID"]): place.get(str(synset["WNID"])) for synset in synsets}
    except Exception as error:  # a broken file can raise nearly anything
        raise DataError(
            f"{meta} cannot be read, and {folder / 'val'} has no class folders; unpack ILSVRC2012_devkit_t12.tar.gz to "
            f"{folder}"
        ) from error
    truth = folder / DEVKIT / "ILSVRC2012_validation_ground_truth.txt"
    pairs: list[tuple[str, int]] = []
    for number, identifier in enumerate(integers(truth, (word for (word,) in read_table(truth, 1))), 1):
        label = label_of.get(identifier)
        if label is None:
            raise DataError(f"{truth} has the label {identifier} in line {number}, but {meta} knows no such class")
        pairs.append((f"ILSVRC2012_val_{number:08}.JPEG", label))
    return listed(folder / "val", pairs)


IMAGENET = photographs(
    name="imagenet",
    title="ImageNet",
    folder=FOLDER,
    num_classes=NUM_CLASSES,
    num_train=1_281_167,
    num_test=50_000,
    files=files,
    remedy="unpack ILSVRC2012_img_train.tar to {root}/imagenet/train/<wnid>/ and ILSVRC2012_img_val.tar to "
    "{root}/imagenet/val/<wnid>/",
)
