"""What of a run's data is not there is said before anything starts, without a download."""

from dataclasses import replace

import pytest

from trainables.backbones.pretrained import lacking_weights
from trainables.classify import train
from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.datasets.dataset import DataError


@pytest.mark.parametrize("name", [name for name in DATASETS if not DATASETS[name].in_folder])
def test_a_missing_data_set_is_one_sentence_and_one_that_is_there_is_none(name, tmp_path):
    dataset = DATASETS[name]
    settings = parse({"dataset": name, "backbone": "resnet8"})
    (said,) = train.lacking(settings, tmp_path)
    fate = "will be fetched" if dataset.fetched else "has to be put there"
    assert said == f"{tmp_path / dataset.folder} is missing and {fate}"
    assert not list(tmp_path.iterdir())
    with pytest.raises(DataError) as wanted:  # the reader looks there too
        dataset.load(tmp_path)
    assert str(tmp_path / dataset.folder) in str(wanted.value)
    (tmp_path / dataset.folder).mkdir(parents=True)
    assert train.lacking(settings, tmp_path) == []


def test_a_data_set_that_is_computed_lacks_nothing(tmp_path, monkeypatch):
    monkeypatch.setitem(DATASETS.data, "stripes", replace(DATASETS["cifar10"], folder=""))
    settings = parse({"dataset": "stripes", "backbone": "resnet8"})
    assert train.lacking(settings, tmp_path / "data") == []


def test_a_folder_of_images_is_looked_for_by_its_name(tmp_path):
    settings = parse({"dataset": "folder", "folder": "birds", "num_classes": 3, "backbone": "resnet8"})
    assert train.lacking(settings, tmp_path) == [f"{tmp_path / 'birds'} is missing and has to be put there"]
    (tmp_path / "birds").mkdir()
    assert train.lacking(settings, tmp_path) == []


@pytest.mark.parametrize(
    ("backbone", "weights", "file"),
    [
        ("resnet18_imagenet", "IMAGENET1K_V1", "torchvision/resnet18-f37072fd.pth"),
        ("timm/resnet18.a1_in1k", "timm", "timm/resnet18.a1_in1k/model.safetensors"),
    ],
)
def test_weights_are_looked_for_where_they_are_kept(backbone, weights, file, tmp_path):
    assert lacking_weights(backbone, "none", tmp_path) == []
    assert lacking_weights(backbone, weights, tmp_path) == [f"{tmp_path / file} is missing and will be fetched"]
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    assert lacking_weights(backbone, weights, tmp_path) == []
