"""Parquet files as Hugging Face keeps data sets of images: ``data/train-*.parquet``, ``data/test-*.parquet``, ...

They are what ``huggingface-cli download --repo-type dataset`` leaves in a folder. A row has an image (its bytes, in a
struct) and a label, a whole number. Rows are compressed together, so that single images cannot be read in any order:
each file is written once as a shard of ``webdataset``, into the folder ``shards`` next to ``data``.
"""

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from filelock import FileLock

from trainables.datasets import webdataset
from trainables.datasets.dataset import DataError, Splits
from trainables.refusals import first_line

SHARDS = "shards"
LABELS = ("label", "labels", "fine_label")  # columns that hold a class, the first that is there
TESTS = ("test", "validation", "valid", "val")  # names of a split to test on, the first that is there
ROWS = 256  # that are held at a time


def prepare(folder: Path) -> None:
    """Write the shards that are missing, and check them."""
    data = folder / "data" if (folder / "data").is_dir() else folder
    tests = next((found for name in TESTS if (found := sorted(data.glob(f"{name}-*.parquet")))), [])
    for name, files in (("train", sorted(data.glob("train-*.parquet"))), ("test", tests)):
        if not files:
            wanted = "train" if name == "train" else " or ".join(TESTS)
            raise DataError(f"{data} has no file {wanted}-*.parquet")
        out = folder / SHARDS / name
        try:
            out.mkdir(parents=True, exist_ok=True)
            for file in files:
                shard = out / f"{file.stem}.tar"
                if not shard.exists():  # nothing is written to a folder that is complete
                    with FileLock(shard.with_suffix(".lock")):
                        _write_shard(file, shard)
        except OSError as error:
            raise DataError(f"the shards cannot be written to {out} ({error.strerror})") from error
    webdataset.load(folder / SHARDS)


def load(folder: Path) -> Splits:
    """List the images of both splits; ``DataError`` if they have not been prepared."""
    return webdataset.load(folder / SHARDS)


def _write_shard(file: Path, shard: Path) -> None:
    """Write the rows of a Parquet file as a shard, unless another process just has."""
    if shard.exists():
        return
    part = shard.with_suffix(".part")
    try:
        table = pyarrow.parquet.ParquetFile(file)
        image, label = _columns(file, table.schema_arrow)
        with tarfile.open(part, "w") as archive:
            number = 0
            for batch in table.iter_batches(ROWS, columns=[image, label]):
                for row in batch.to_pylist():
                    content = row[image]["bytes"]
                    ending = "png" if content.startswith(b"\x89PNG") else "jpg"  # the reader looks at the bytes alone
                    _add(archive, f"{number:08}.{ending}", content)
                    whole = int(str(row[label]))  # refuses here what the reader would: a shard is never written again
                    _add(archive, f"{number:08}{webdataset.LABEL}", str(whole).encode())
                    number += 1
    except (pa.ArrowException, OSError, AttributeError, TypeError, KeyError, ValueError) as error:
        if getattr(error, "errno", None) is not None:  # the disk's; pyarrow's own, of a broken file, have no number
            raise
        raise DataError(f"{file} is no table of images and labels: {first_line(error)}") from error
    part.rename(shard)


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
