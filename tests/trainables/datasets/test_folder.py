"""A folder of images of one's own, sorted into classes."""

import pytest

from tests.trainables.datasets.pairs import pairs
from trainables.datasets import DATASETS, folder
from trainables.datasets.dataset import DataError


def test_a_folder_has_the_classes_of_its_training_folders(lay_out):
    root = lay_out(
        {f"flowers/{name}.png": None for name in ("train/tulip/1", "train/daisy/2", "val/tulip/3", "val/daisy/4")}
    )
    train, test = folder.load(root / "flowers")
    assert pairs(train) == {("daisy/2.png", 0), ("tulip/1.png", 1)}
    assert pairs(test) == {("daisy/4.png", 0), ("tulip/3.png", 1)}
    lay_out({"flowers/test/tulip/5.png": None, "flowers/test/rose/6.png": None})
    with pytest.raises(DataError, match=r"flowers/test/rose is not one of the 2 classes$"):
        folder.load(root / "flowers")  # a test folder comes before a validation folder


def test_a_folder_that_is_not_there_or_lacks_a_split_is_named(tmp_path, lay_out):
    with pytest.raises(DataError, match=r"^the folder .*/flowers is missing; it should have train/ and test/"):
        DATASETS["folder"].prepare(tmp_path / "flowers")
    lay_out({"flowers/train/a/1.jpg": None})
    with pytest.raises(DataError, match=r"flowers has no folder test, val or validation$"):
        DATASETS["folder"].prepare(tmp_path / "flowers")


def test_every_data_set_has_its_own_name():
    assert all(name == dataset.name for name, dataset in DATASETS.items())
