"""iNaturalist 2017 (5,089 species) and 2018 (8,142 species): photographs of plants and animals, unevenly spread.

From G. Van Horn et al., The iNaturalist Species Classification and Detection Dataset, CVPR 2018, arXiv:1707.06642.
In the data root ``inat2017/`` with ``train2017.json``, ``val2017.json`` and ``train_val_images/``, and ``inat2018/``
with ``train2018.json``, ``val2018.json`` and ``train_val2018/``, as the official archives unpack. The official
validation set is the test set, as everywhere.
"""

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

from trainables.datasets.dataset import IMAGENET_MEAN, IMAGENET_STD, DataError, Dataset, Splits
from trainables.datasets.file_list import FileList
from trainables.datasets.image_files import listed, require_count


class Edition(NamedTuple):
    """The names and numbers that differ from year to year."""

    year: int
    num_classes: int
    num_train: int
    num_test: int
    images: str  # the folder that the official archive of images unpacks to

    @property
    def folder(self) -> str:
        """The folder of the edition in the data root."""
        return f"inat{self.year}"


INAT2017_EDITION = Edition(2017, 5_089, 579_184, 95_986, "train_val_images")
INAT2018_EDITION = Edition(2018, 8_142, 437_513, 24_426, "train_val2018")


def prepare(root: Path, edition: Edition) -> None:
    """Check that every image is present.

    Raises:
        DataError: something is missing; it says what belongs where.
    """
    try:
        load(root, edition)
    except DataError as error:
        folder, year = root / edition.folder, edition.year
        raise DataError(
            f"iNaturalist {year} is not complete ({error}); put the official train{year}.json, val{year}.json and "
            f"{edition.images}/ in {folder}"
        ) from error


def load(root: Path, edition: Edition) -> Splits:
    """List both splits; the label is the rank of the category's number among all of them.

    Raises:
        DataError: a file is missing or broken, or a label is out of range.
    """
    folder = root / edition.folder
    train = _split(folder, folder / f"train{edition.year}.json", edition.num_classes)
    test = _split(folder, folder / f"val{edition.year}.json", edition.num_classes)
    return Splits(require_count(train, edition.num_train), require_count(test, edition.num_test))


def _split(folder: Path, file: Path, num_classes: int) -> FileList:
    try:
        content = json.loads(file.read_bytes())
        categories = sorted(category["id"] for category in content["categories"])
        name_of = {image["id"]: image["file_name"] for image in content["images"]}
        annotated = [(entry["image_id"], entry["category_id"]) for entry in content["annotations"]]
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is broken ({type(error).__name__}: {error})") from error
    if len(categories) != num_classes:
        raise DataError(f"{file} lists {len(categories)} categories instead of {num_classes}")
    place = {category: label for label, category in enumerate(categories)}
    names: list[str] = []
    labels: list[int] = []
    for image, category in annotated:
        if image not in name_of:
            raise DataError(f"{file} annotates image {image}, which it does not list")
        if category not in place:
            raise DataError(f"{file} has a label out of range, category {category} for {name_of[image]}")
        names.append(name_of[image])
        labels.append(place[category])
    return listed(folder, names, labels)


def _dataset(edition: Edition) -> Dataset:
    return Dataset(
        name=f"inat{edition.year}",
        num_classes=edition.num_classes,
        image_shape=(3, 224, 224),
        num_train=edition.num_train,
        num_test=edition.num_test,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop_ratio=0.875,
        prepare=partial(prepare, edition=edition),
        load=partial(load, edition=edition),
    )


INAT2017 = _dataset(INAT2017_EDITION)
INAT2018 = _dataset(INAT2018_EDITION)
