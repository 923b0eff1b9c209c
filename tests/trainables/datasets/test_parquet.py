"""The Parquet files of Hugging Face: the shards that are written of them, and tables that are faulty."""

import errno
import os
import shutil

import pyarrow as pa
import pyarrow.parquet
import pytest

from tests.trainables.datasets.files import require_refused
from tests.trainables.datasets.packed import require_images, table, tables
from trainables.datasets import parquet
from trainables.datasets.dataset import DataError

NO_TABLE = r"train-00001-of-00002\.parquet is not a table of images and labels"


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
