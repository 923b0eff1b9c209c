"""Data sets packed into large files: WebDataset's shards, and the Parquet files of Hugging Face."""

import re
import shutil

import pyarrow.parquet
import pytest

from tests.trainables.datasets.files import require_refused
from tests.trainables.datasets.packed import require_images, shards, tables
from trainables import progress
from trainables.datasets import parquet, webdataset

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
    out = tmp_path / (dataset.folder or "") / ("shards" if dataset is parquet.PARQUET else "")
    assert re.search(rf"listing the images of {out}/train: 100%.* 2/2 ", said)
    assert (f"writing {out}/train: 100%" in said) == (dataset is parquet.PARQUET)


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
