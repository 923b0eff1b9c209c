"""The same images as WebDataset's shards and as the Parquet files of Hugging Face."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from PIL import Image

from tests.trainables.datasets.files import tar, write
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
