"""Data sets packed into large files: WebDataset's shards, and the Parquet files of Hugging Face."""

import errno
import io
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from PIL import Image

from tests.trainables.datasets.files import require_refused, tar, write
from trainables import progress
from trainables.classify import train
from trainables.config import parse
from trainables.datasets import parquet, webdataset
from trainables.datasets.dataset import DataError
from trainables.datasets.decoding import Decoder, View
from trainables.datasets.file_list import FileList


def pixels(number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.random.default_rng(number).integers(0, 256, (24, 24, 3), dtype=np.uint8)


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels(number)).save(file, "png")
    return file.getvalue()


def shard(file: Path, members: Mapping[str, bytes], mode: str = "w") -> None:
    write(file.parent, {file.name: tar(members, mode)})


def shards(folder: Path) -> None:
    """Write two shards a split, with other members and a folder in one of them; the label is the number modulo 3."""
    for split, count in (("train", 12), ("test", 6)):
        for half in range(2):
            members = {"notes.txt": b"no image"} if half else {}
            for number in range(half, count, 2):
                key = f"deep/{number:03}" if half else f"{number:03}"
                members |= {f"{key}.cls": str(number % 3).encode(), f"{key}.png": png(number), f"{key}.json": b"{}"}
            shard(folder / split / f"{split}-{half:04}.tar", members)


def table(file: Path, numbers: range, **columns) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    images = [{"bytes": png(number), "path": f"{number}.png"} for number in numbers]
    columns = {"image": images, "label": [number % 3 for number in numbers], **columns}
    pyarrow.parquet.write_table(pa.table(columns), file, row_group_size=2)


def tables(folder: Path) -> Path:
    """Write two tables of the training images and one of the others; return their folder."""
    data = folder / "data"
    table(data / "train-00000-of-00002.parquet", range(8))
    table(data / "train-00001-of-00002.parquet", range(8, 12))
    table(data / "validation-00000-of-00001.parquet", range(6))
    (data / "train-notes.txt").write_text("no table")
    return data


def require_images(files: FileList, count: int) -> None:
    """Require every image once, whole, with its label, in an order that is not that of the shards."""
    assert len(files) == count
    chunk = Decoder(files, View(size=24, resize=None))[list(range(count))]
    assert chunk.failures == []
    found = {image.numpy().tobytes(): int(label) for image, label in zip(chunk.images, chunk.labels, strict=True)}
    assert found == {pixels(number).tobytes(): number % 3 for number in range(count)}
    assert files.labels.tolist() != sorted(files.labels.tolist())


both = pytest.mark.parametrize(("write", "dataset"), [(shards, webdataset.WEBDATASET), (tables, parquet.PARQUET)])


@both
def test_every_image_is_found_with_its_label(write, dataset, tmp_path):
    write(tmp_path)
    dataset.prepare(tmp_path)
    splits = dataset.load(tmp_path)
    require_images(splits.train, 12)
    require_images(splits.test, 6)
    assert splits.train.digest() == dataset.load(tmp_path).train.digest()


@both
def test_a_log_says_how_far_the_work_on_large_files_is(write, dataset, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    write(tmp_path)
    dataset.prepare(tmp_path)
    said = capfd.readouterr().err
    shards = tmp_path / (dataset.folder or "") / ("shards" if dataset is parquet.PARQUET else "")
    assert re.search(rf"listing the images of {shards}/train: 100%.* 2/2 ", said)
    assert (f"writing {shards}/train: 100%" in said) == (dataset is parquet.PARQUET)


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


@pytest.mark.parametrize("seconds", [-3600, 3600])  # a file may be put there with the time of its original
def test_a_table_that_is_replaced_is_written_again(seconds, tmp_path):
    replaced = tables(tmp_path) / "train-00000-of-00002.parquet"
    time = replaced.stat().st_mtime
    os.utime(replaced, (time - 7200, time - 7200))
    parquet.prepare(tmp_path)
    before = parquet.load(tmp_path)
    table(replaced, range(8), label=[2] * 8)
    os.utime(replaced, (time + seconds, time + seconds))
    require_refused(r"train-00000-of-00002\.tar is missing, or older than .*parquet, of which", parquet.load, tmp_path)
    parquet.prepare(tmp_path)
    after = parquet.load(tmp_path)
    assert sorted(after.train.labels.tolist()) == [0, 1] + [2] * 10
    assert after.train.digest() != before.train.digest()
    assert after.test.digest() == before.test.digest()


def test_a_new_table_is_read_and_a_shard_without_a_table_refused(tmp_path):
    data = tables(tmp_path)
    parquet.prepare(tmp_path)
    table(data / "train-00002-of-00003.parquet", range(12, 14))
    require_refused(r"train-00002-of-00003\.tar is missing", parquet.load, tmp_path)
    parquet.prepare(tmp_path)
    require_images(parquet.load(tmp_path).train, 14)
    (data / "train-00000-of-00002.parquet").unlink()
    for read in (parquet.load, parquet.prepare):
        require_refused(r"train-00000-of-00002\.tar belongs to no table in .*data, and its images", read, tmp_path)


def test_a_test_set_that_takes_the_place_of_the_validation_set_stands_alone(tmp_path):
    data = tables(tmp_path)
    parquet.prepare(tmp_path)
    table(data / "test-00000-of-00001.parquet", range(7))
    require_refused(r"validation-00000-of-00001\.tar belongs to no table", parquet.prepare, tmp_path)
    (tmp_path / "shards" / "test" / "validation-00000-of-00001.tar").unlink()
    parquet.prepare(tmp_path)
    require_images(parquet.load(tmp_path).test, 7)


def test_tables_may_be_deleted_once_there_are_shards(tmp_path):
    data = tables(tmp_path)
    parquet.prepare(tmp_path)
    (data / "train-00000-of-00002.parquet").unlink()
    (data / "train-00000-of-00002.parquet").symlink_to(tmp_path / "deleted.parquet")
    parquet.prepare(tmp_path)
    require_images(parquet.load(tmp_path).train, 12)
    shutil.rmtree(data)
    parquet.prepare(tmp_path)
    require_images(parquet.load(tmp_path).train, 12)


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


def test_a_table_may_have_other_columns_and_other_names_for_the_image_and_its_class(tmp_path):
    """CIFAR-100 has img and fine_label, next to coarse_label."""
    file = tables(tmp_path) / "train-00000-of-00002.parquet"
    columns = pyarrow.parquet.read_table(file).rename_columns(["img", "fine_label"])
    columns = columns.append_column("objects", [[{"box": number} for number in range(8)]])
    pyarrow.parquet.write_table(columns.append_column("coarse_label", [[7] * 8]), file)
    parquet.prepare(tmp_path)
    require_images(parquet.load(tmp_path).train, 12)


def test_a_disk_without_room_for_the_shards_is_named(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    tables(tmp_path)
    monkeypatch.setattr(parquet, "_add", full)
    with pytest.raises(DataError, match=rf"^the shards cannot be written to {tmp_path}/shards/train \(No space left "):
        parquet.prepare(tmp_path)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"image": [{"bytes": b"x"}], "class": [1]}, r"none of them is a label \(label, labels, fine_label\)"),
        ({"picture": [{"path": "a"}], "label": [1]}, "has the columns picture, label: none of them is an image"),
    ],
)
def test_a_table_without_a_column_of_images_or_labels_is_refused(columns, sentence, tmp_path):
    pyarrow.parquet.write_table(pa.table(columns), tables(tmp_path) / "train-00001-of-00002.parquet")
    require_refused(sentence, parquet.prepare, tmp_path)


NO_TABLE = r"train-00001-of-00002\.parquet is not a table of images and labels"


@pytest.mark.parametrize(
    "column",
    [
        {"image": [{"bytes": None, "path": "elsewhere.png"}] * 2},
        {"label": [1, None]},
        {"label": ["1", "cat"]},
        {"label": [1.5, 2.0]},
    ],
)
def test_a_table_without_the_bytes_of_an_image_or_with_a_label_that_is_no_whole_number_is_refused(column, tmp_path):
    table(tables(tmp_path) / "train-00001-of-00002.parquet", range(8, 10), **column)
    require_refused(NO_TABLE, parquet.prepare, tmp_path)


def test_a_broken_table_is_refused_until_it_is_whole(tmp_path):
    faulty = tables(tmp_path) / "train-00001-of-00002.parquet"
    whole = faulty.read_bytes()
    broken = whole.replace(b"IHDR", b"\xff\xff\xff\xff")[:-40] + whole[-8:]  # pyarrow's ``OSError``
    for content in (b"no table", broken):
        faulty.write_bytes(content)
        require_refused(NO_TABLE, parquet.prepare, tmp_path)
    faulty.write_bytes(whole)
    parquet.prepare(tmp_path)
    require_images(parquet.load(tmp_path).train, 12)


def test_a_shard_that_was_cut_off_between_two_members_is_refused(tmp_path):
    shards(tmp_path)
    faulty = tmp_path / "train" / "train-0001.tar"
    content = tar({"a.png": png(0), "a.cls": b"1", "b.png": png(1), "b.cls": b"1"}, "w").rstrip(b"\0")
    content += bytes(-len(content) % 512)  # without the two empty blocks at the end
    for lost in (512, 512 + 100, 1024):
        faulty.write_bytes(content[:-lost])
        require_refused(r"train-0001\.tar is not a whole shard", webdataset.load, tmp_path)


@both
def test_nothing_is_written_once_all_is_prepared(write, dataset, tmp_path, monkeypatch):
    write(tmp_path)
    dataset.prepare(tmp_path)
    for module in (webdataset, parquet):  # a read-only folder refuses the lock first
        monkeypatch.setattr(module, "FileLock", lambda file: pytest.fail(f"{file} was locked"))
    monkeypatch.setattr(pyarrow.parquet, "ParquetFile", lambda file: pytest.fail(f"{file} was read again"))
    dataset.prepare(tmp_path)
    assert not list(tmp_path.rglob("*.part"))


def test_a_split_that_is_missing_is_named(tmp_path):
    data = tables(tmp_path)
    (data / "validation-00000-of-00001.parquet").unlink()
    parquet.prepare(tmp_path)
    assert len(parquet.load(tmp_path).test) == 0  # a run that tests on held-out images needs none
    shutil.rmtree(tmp_path / "shards")
    for file in data.glob("train-*.parquet"):
        file.unlink()
    require_refused(r"has no file train-\*\.parquet", parquet.prepare, tmp_path)
    (tmp_path / "train").mkdir()
    require_refused("train has no shard", webdataset.load, tmp_path)


def test_a_network_trains_on_shards(tmp_path):
    shards(tmp_path / "pets")
    config = {
        **{"dataset": "webdataset", "folder": "pets", "num_classes": 3, "image_size": 24, "backbone": "resnet8"},
        **{"epochs": 1, "batch_size": 4, "mixer": "cutmix"},
    }
    train.prepare(parse(config), tmp_path)
    assert 0 <= train(config, 0, data_root=tmp_path, workers=0).metrics["test_top1"] <= 100
