"""iNaturalist 2017 (5,089 species) and 2018 (8,142 species): photographs of plants and animals, unevenly spread.

From G. Van Horn et al., The iNaturalist Species Classification and Detection Dataset, CVPR 2018, arXiv:1707.06642.
In the data root ``inat2017/`` with ``train2017.json``, ``val2017.json`` and ``train_val_images/``, and ``inat2018/``
with ``train2018.json``, ``val2018.json`` and ``train_val2018/``, as the official archives unpack. The official
validation set is the test set, as everywhere.
"""

import json
from functools import partial
from pathlib import Path

from trainables.datasets.dataset import DataError, Dataset
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import listed, text_of
from trainables.datasets.photographs import photographs


def files(root: Path, num_classes: int, *, year: int) -> list[FileList]:
    """List both splits; the label is the rank of the category's number among all of them."""
    folder = root / f"inat{year}"
    return [_split(folder, folder / f"{split}{year}.json", num_classes) for split in ("train", "val")]


def _split(folder: Path, file: Path, num_classes: int) -> FileList:
    text = text_of(file)
    try:
        content = json.loads(text)
        categories = sorted(category["id"] for category in content["categories"])
        label_of = {category: label for label, category in enumerate(categories)}
        name_of = {image["id"]: str(image["file_name"]) for image in content["images"]}
        pairs = [(name_of[entry["image_id"]], entry["category_id"]) for entry in content["annotations"]]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is broken ({type(error).__name__}: {error})") from error
    if len(categories) != num_classes:
        raise DataError(f"{file} lists {len(categories)} categories instead of {num_classes}")
    return listed(folder, file, pairs, label_of)


def _edition(year: int, *, num_classes: int, num_train: int, num_test: int, images: str) -> Dataset:
    """Return the data set of a year; its archive of images unpacks to the folder ``images``."""
    return photographs(
        name=f"inat{year}",
        title=f"iNaturalist {year}",
        folder=f"inat{year}",
        num_classes=num_classes,
        num_train=num_train,
        num_test=num_test,
        files=partial(files, year=year),
        remedy=f"put the official train{year}.json, val{year}.json and {images}/ in {{root}}/inat{year}",
    )


INAT2017 = _edition(2017, num_classes=5_089, num_train=579_184, num_test=95_986, images="train_val_images")
INAT2018 = _edition(2018, num_classes=8_142, num_train=437_513, num_test=24_426, images="train_val2018")
