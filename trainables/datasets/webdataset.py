"""Shards of the WebDataset format: ``train/*.tar`` and ``test/*.tar`` or ``val/*.tar`` in a folder.

Aizman, Maltby, Breuel, "High Performance I/O For Large Scale Deep Learning", IEEE Big Data 2019 (arXiv:2001.01858). A
sample is the members of one name: the image, such as ``n01440764_18.jpg``, and its class as a number in
``n01440764_18.cls``. The shards must not be compressed: an image is read where it lies, in any order, and nothing is
unpacked. An index of each split is kept next to its shards, because ImageNet's takes minutes to make.
"""

import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from trainables.datasets.dataset import DataError, Splits
from trainables.datasets.file_list import FileList, slice_name
from trainables.datasets.folder import FOLDER
from trainables.datasets.image_files import ENDINGS, files_in, test_folder
from trainables.datasets.verified_files import read_member
from trainables.progress import progress

INDEX = "mixlab-index.json"
LABEL = ".cls"
END = 1024  # zeros that every archive ends with


def load(folder: Path) -> Splits:
    """List the images of both splits; missing indices are made, and a split to test on may be missing."""
    train, tests = split(folder / "train"), test_folder(folder)
    return Splits(train, split(tests) if tests else train.take(slice(0)))


def split(folder: Path) -> FileList:
    """Return the images of the shards in ``folder``, from their index if that is of these shards."""
    files = [file for file in files_in(folder) if file.suffix == ".tar"]
    try:
        shards = {file.name: [file.stat().st_size, file.stat().st_mtime_ns] for file in files}
    except OSError as error:  # a link that leads nowhere
        raise DataError(f"{error.filename} cannot be read ({error.strerror})") from error
    if not shards:
        raise DataError(f"{folder} has no shard, which is a file that ends in .tar")
    index = _read(folder / INDEX)
    if index.get("shards") != shards:  # an index that is up to date may be read-only
        index = _make_index(folder, shards)
    names, labels = zip(*index["samples"], strict=True)
    return FileList.of(folder, names, labels)


def _make_index(folder: Path, shards: Mapping[str, list[int]]) -> dict[str, Any]:
    """Write the index of the shards and return it, unless another process has written it meanwhile."""
    file = folder / INDEX
    try:
        with FileLock(f"{file}.lock"):
            index = _read(file)
            if index.get("shards") != shards:
                reading = progress(shards, f"listing the images of {folder}")
                found = [sample for name in reading for sample in samples(folder / name)]
                index = {"shards": shards, "samples": found}
                file.write_text(json.dumps(index), encoding="utf-8")
            return index
    except OSError as error:
        raise DataError(f"the index of the shards cannot be written to {file} ({error.strerror})") from error


def samples(shard: Path) -> Iterator[tuple[str, int]]:
    """Yield where each image of a shard lies, as ``FileList`` names it, and its label, or raise ``DataError``."""
    try:
        images, labels = _members(shard)
        with shard.open("rb") as file:
            file.seek(-END, os.SEEK_END)
            if any(file.read()):  # cut off between two members, which tarfile takes for a whole archive
                raise tarfile.ReadError("its end is missing")
    except (tarfile.TarError, OSError, ValueError) as error:
        raise DataError(f"{shard} is not a whole shard of images and classes, without compression: {error}") from error
    if alone := images.keys() ^ labels.keys():
        key = min(alone)
        lacking = f"{key}{LABEL}, the class of an image" if key in images else f"image of the class {key}{LABEL}"
        raise DataError(f"{shard} has no {lacking}")
    for key, name in images.items():
        yield name, labels[key]
    if not images:
        raise DataError(f"{shard} has no image")


def _members(shard: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Return by the name of a sample where its image lies, and its label; a sample may lack one of the two."""
    images: dict[str, str] = {}
    labels: dict[str, int] = {}
    with tarfile.open(shard, "r:") as archive:
        for member in archive:
            if not member.isfile():
                continue
            folder, slash, name = member.name.rpartition("/")
            name, stop, ending = name.partition(".")  # WebDataset's ending begins at the first full stop
            key, ending = folder + slash + name, stop + ending
            if ending.lower() in ENDINGS:
                if key in images:
                    raise ValueError(f"{key} has two images")
                images[key] = slice_name(shard.name, member.offset_data, member.size)
            elif ending == LABEL:
                labels[key] = int(read_member(archive, member))
    return images, labels


def _read(file: Path) -> dict[str, Any]:
    """Return the index in a file; an empty one if the file is missing or cut off."""
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


WEBDATASET = replace(FOLDER, name="webdataset", prepare=load, load=load)
