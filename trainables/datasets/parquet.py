"""Parquet files as Hugging Face keeps data sets of images: ``data/train-*.parquet``, ``data/test-*.parquet``, ...

They are what ``huggingface-cli download --repo-type dataset`` leaves in a folder. A row has an image (its bytes, in a
struct) and a label, a whole number. Rows are compressed together, so that single images cannot be read in any order:
each file is written once as a shard of ``webdataset``, into the folder ``shards`` next to ``data``, and again when it
has been replaced.
"""

import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from filelock import FileLock

from trainables.datasets import webdataset
from trainables.datasets.dataset import DataError, Splits
from trainables.datasets.image_files import files_in
from trainables.progress import progress
from trainables.refusals import first_line

SHARDS = "shards"
LABELS = ("label", "labels", "fine_label")  # columns that hold a class, the first that is there
TESTS = ("test", "validation", "valid", "val")  # names of a split to test on, the first that is there
ROWS = 256  # held in memory at a time


def prepare(folder: Path) -> None:
    """Write the shards that are missing or of earlier tables, and check them."""
    for name, shard_of in _tables(folder).items():
        out = folder / SHARDS / name
        if name == "train" and not shard_of and not os.path.isdir(out):
            raise DataError(f"{_data(folder)} has no file train-*.parquet")
        try:
            for file, shard in progress(shard_of.items(), f"writing {out}"):
                if _is_of(shard, file):  # nothing is written to a folder that is complete
                    continue
                out.mkdir(parents=True, exist_ok=True)
                with FileLock(shard.with_suffix(".lock")):
                    _write_shard(file, shard)
        except OSError as error:
            raise DataError(f"the shards cannot be written to {out} ({error.strerror})") from error
    load(folder)


def load(folder: Path) -> Splits:
    """List the images of both splits; ``DataError`` if tables are kept and the shards are not theirs.

    Once there are shards, the tables may be deleted.
    """
    for name, shard_of in _tables(folder).items():
        for file, shard in shard_of.items():
            if not _is_of(shard, file):
                raise DataError(f"{shard} is missing, or older than {file}, of which it has to be written again")
        kept = files_in(folder / SHARDS / name) if shard_of else []
        left = [file for file in kept if file.suffix == ".tar" and file not in shard_of.values()]
        if left:
            raise DataError(
                f"{left[0]} belongs to no table in {_data(folder)}, and its images would count as well: delete it, or "
                "put its table back"
            )
    return webdataset.load(folder / SHARDS)


def _data(folder: Path) -> Path:
    return folder / "data" if os.path.isdir(folder / "data") else folder


def _tables(folder: Path) -> dict[str, dict[Path, Path]]:
    """Return the Parquet files by the split, ``train`` or ``test``, and the shard that each becomes."""
    data = _data(folder)
    files_of_data = [file for file in files_in(data) if file.suffix == ".parquet"]

    def of(split: str) -> list[Path]:
        return [file for file in files_of_data if file.name.startswith(f"{split}-")]

    tables = {"train": of("train"), "test": next((found for name in TESTS if (found := of(name))), [])}
    shards = folder / SHARDS
    return {split: {file: shards / split / f"{file.stem}.tar" for file in files} for split, files in tables.items()}


def _is_of(shard: Path, table: Path) -> bool:
    """Return whether a shard is there and not older than its table, by whole seconds: not every disk keeps more.

    The table may be a link to a file that was deleted since, as from the cache of Hugging Face.
    """
    if not os.path.exists(shard):
        return False
    return not os.path.exists(table) or int(shard.stat().st_mtime) >= int(table.stat().st_mtime)


def _write_shard(file: Path, shard: Path) -> None:
    """Write the rows of a Parquet file as a shard of the same age, unless another process just has."""
    if _is_of(shard, file):
        return
    age = file.stat()
    part = shard.with_suffix(".part")
    try:
        with tarfile.open(part, "w") as archive:
            for number, (content, label) in enumerate(_rows(file)):
                ending = "png" if content.startswith(b"\x89PNG") else "jpg"  # the reader looks at the bytes alone
                _add(archive, f"{number:08}.{ending}", content)
                _add(archive, f"{number:08}{webdataset.LABEL}", str(label).encode())
    except (pa.ArrowException, OSError, AttributeError, TypeError, KeyError, ValueError) as error:
        if getattr(error, "errno", None) is not None:  # the disk's; pyarrow's own, of a broken file, have no number
            raise
        raise DataError(f"{file} is not a table of images and labels: {first_line(error)}") from error
    os.utime(part, ns=(age.st_atime_ns, age.st_mtime_ns))  # so that a table which replaces this one is newer
    part.rename(shard)


def _rows(file: Path) -> Iterator[tuple[bytes, int]]:
    """Yield each image, as it is encoded, and its label."""
    table = pyarrow.parquet.ParquetFile(file)
    image, label = _columns(file, table.schema_arrow)
    for batch in table.iter_batches(ROWS, columns=[image, label]):
        for row in batch.to_pylist():
            yield row[image]["bytes"], int(str(row[label]))  # refuses what the reader would, before there is a shard


def _columns(file: Path, schema: pa.Schema) -> tuple[str, str]:
    """Return the names of the columns of images and labels."""
    structs = [field for field in schema if pa.types.is_struct(field.type)]
    images = [field.name for field in structs if field.type.get_field_index("bytes") >= 0]
    labels = [name for name in LABELS if name in schema.names]
    if not images or not labels:
        lacking = f"a label ({', '.join(LABELS)})" if images else "an image, a struct with the field bytes"
        raise DataError(f"{file} has the columns {', '.join(schema.names)}: none of them is {lacking}")
    return images[0], labels[0]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


PARQUET = replace(webdataset.WEBDATASET, name="parquet", prepare=prepare, load=load)
