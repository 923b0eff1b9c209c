"""WebDataset's shards: their index, and shards that are faulty."""

import pytest
import torch

from tests.trainables.datasets.files import require_refused, tar
from tests.trainables.datasets.packed import png, shard, shards
from trainables.classify import train
from trainables.config import parse
from trainables.datasets import webdataset
from trainables.datasets.dataset import DataError


def test_an_index_is_made_once_and_again_when_a_shard_changes(tmp_path, monkeypatch):
    shards(tmp_path)
    first = webdataset.load(tmp_path).train
    read = webdataset.samples
    monkeypatch.setattr(webdataset, "samples", lambda file: pytest.fail(f"{file} was read again"))
    assert torch.equal(webdataset.load(tmp_path).train.names, first.names)
    monkeypatch.setattr(webdataset, "samples", read)
    shard(tmp_path / "train" / "train-0002.tar", {"new.cls": b"2", "new.png": png(99)})
    assert len(webdataset.load(tmp_path).train) == 13


def test_an_index_of_which_a_part_was_written_is_made_again(tmp_path):
    shards(tmp_path)
    first = webdataset.load(tmp_path).train
    index = tmp_path / "train" / webdataset.INDEX
    whole = index.read_text()
    index.write_text(whole[: len(whole) // 2])
    assert torch.equal(webdataset.load(tmp_path).train.names, first.names)
    assert index.read_text() == whole


@pytest.mark.parametrize(
    ("members", "mode", "sentence"),
    [
        ({"a.png": b"x"}, "w", r"has no a\.cls, the class of an image"),
        ({}, "w", "has no image"),
        ({"a.cls": b"1", "b.png": b"x", "b.cls": b"1"}, "w", r"has no image of the class a\.cls"),
        ({"a.png": b"x", "a.jpg": b"x", "a.cls": b"1"}, "w", "a has two images"),
        ({"a.png": b"x", "a.cls": b"cat"}, "w", "is not a whole shard .* 'cat'|invalid literal"),
        ({"a.png": b"x", "a.cls": b"1"}, "w:gz", "is not a whole shard of images and classes, without compression"),
    ],
)
def test_a_faulty_shard_is_named(members, mode, sentence, tmp_path):
    shards(tmp_path)
    shard(tmp_path / "train" / "train-0001.tar", members, mode)
    with pytest.raises(DataError, match=sentence) as refused:
        webdataset.load(tmp_path)
    assert "train-0001.tar" in str(refused.value)


def test_a_shard_that_is_a_link_to_nowhere_is_named(tmp_path):
    shards(tmp_path)
    (tmp_path / "train" / "train-0002.tar").symlink_to("nowhere.tar")
    require_refused(r"train-0002\.tar cannot be read \(No such file or directory\)$", webdataset.load, tmp_path)


def test_a_shard_that_was_cut_off_between_two_members_is_refused(tmp_path):
    shards(tmp_path)
    faulty = tmp_path / "train" / "train-0001.tar"
    content = tar({"a.png": png(0), "a.cls": b"1", "b.png": png(1), "b.cls": b"1"}, "w").rstrip(b"\0")
    content += bytes(-len(content) % 512)  # without the two empty blocks at the end
    for lost in (512, 512 + 100, 1024):
        faulty.write_bytes(content[:-lost])
        require_refused(r"train-0001\.tar is not a whole shard", webdataset.load, tmp_path)


def test_a_network_trains_on_shards(tmp_path):
    shards(tmp_path / "pets")
    config = {
        **{"dataset": "webdataset", "folder": "pets", "num_classes": 3, "image_size": 24, "backbone": "resnet8"},
        **{"epochs": 1, "batch_size": 4, "mixer": "cutmix"},
    }
    train.prepare(parse(config), tmp_path)
    assert 0 <= train(config, 0, data_root=tmp_path, workers=0).metrics["test_top1"] <= 100
