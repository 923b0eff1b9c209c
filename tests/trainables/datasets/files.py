"""Files by their paths: written, packed, or listed with the labels of their images; and how a reader refuses them."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from trainables.datasets.dataset import DataError
from trainables.datasets.file_list import FileList


def write(root: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)


def tar(files: Mapping[str, bytes], mode="w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def md5_of(files: Mapping[str, bytes]) -> dict[str, str]:
    return {path: hashlib.md5(content).hexdigest() for path, content in files.items()}


def in_place(root: Path, paths: Iterable[str]) -> dict[str, bytes]:
    """Return those of the files that are there."""
    return {path: (root / path).read_bytes() for path in paths if (root / path).exists()}


def pairs(files: FileList) -> set[tuple[str, int]]:
    """Return the names and labels of the images of a list."""
    return {(files.name(i), int(files.labels[i])) for i in range(len(files))}


def require_refused(sentence: str, read: Callable[..., object], *given: object, **options: object) -> None:
    """Check that a call ends with a ``DataError`` whose sentence matches a pattern."""
    with pytest.raises(DataError, match=sentence):
        read(*given, **options)
