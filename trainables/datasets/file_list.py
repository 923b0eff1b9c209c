"""A split whose images stay on disk: their names and labels, kept small.

ImageNet's 1.3 million names as Python strings would take 150 MB in every worker process; here they are one block of
bytes, which the processes share.
"""

import contextlib
import hashlib
import os
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

SLICE = re.compile(r"(.+\.tar)@(\d+)\+(\d+)")
SAMPLED = 64  # files whose bytes are part of the fingerprint


@dataclass(frozen=True)
class FileList:
    """Image files under ``root``, and their labels; a name may also be that of a piece of a file (``slice_name``)."""

    root: Path
    names: Tensor  # (bytes of all names,) uint8, as the file system has them, one after another, relative to ``root``
    starts: Tensor  # (N,) int64, where a name starts
    ends: Tensor  # (N,) int64, where it ends
    labels: Tensor  # (N,) int64

    @classmethod
    def of(cls, root: Path, names: Iterable[str], labels: Sequence[int]) -> "FileList":
        """Return the list of names relative to ``root``, in any order, and their labels.

        The list's own order is random, and the same for the same names: its first n are a fair sample.
        """
        pairs = sorted(zip(names, labels, strict=True))
        random.Random(0).shuffle(pairs)
        encoded = [os.fsencode(name) for name, _ in pairs]
        ends = torch.tensor([len(name) for name in encoded], dtype=torch.int64).cumsum(0)
        starts = torch.cat((ends.new_zeros(1), ends[:-1]))
        block = np.frombuffer(b"".join(encoded), np.uint8).copy()
        return cls(root, torch.from_numpy(block), starts, ends, torch.tensor([label for _, label in pairs]))

    def __len__(self) -> int:
        return len(self.labels)

    def name(self, index: int) -> str:
        """Return the name of one image, relative to ``root``."""
        return os.fsdecode(bytes(self.names[int(self.starts[index]) : int(self.ends[index])].numpy()))

    def path(self, index: int) -> Path:
        """Return the path of one image."""
        return self.root / self.name(index)

    def read(self, index: int) -> bytes:
        """Return the content of one image; raise ``OSError`` if it cannot be read."""
        piece = SLICE.fullmatch(self.name(index))
        if piece is None:
            return self.path(index).read_bytes()
        with (self.root / piece[1]).open("rb") as file:
            file.seek(int(piece[2]))
            return file.read(int(piece[3]))

    def take(self, indices: Tensor | slice) -> "FileList":
        """Return the images at ``indices`` (n,) or of a slice, in that order."""
        return FileList(self.root, self.names, self.starts[indices], self.ends[indices], self.labels[indices])

    def digest(self) -> bytes:
        """Return a digest of every name and label, and of 64 files spread over the list: all would take hours.

        A file that cannot be read is left out here: whoever decodes the images names it, or skips it.
        """
        digest = hashlib.sha256(f"{len(self)} files".encode())
        for index in range(len(self)):
            digest.update(os.fsencode(self.name(index)) + b"\0")
        digest.update(self.labels.numpy().data)
        for index in torch.linspace(0, len(self) - 1, min(SAMPLED, len(self)), dtype=torch.float64).long().tolist():
            with contextlib.suppress(OSError):
                digest.update(self.read(index))
        return digest.digest()


def slice_name(archive: str, start: int, size: int) -> str:
    """Return the name of ``size`` bytes of an archive that is not compressed, from byte ``start`` on."""
    return f"{archive}@{start}+{size}"


def shown(path: Path) -> str:
    """Return ``path`` as it can be printed, whatever bytes its name has."""
    return os.fsencode(path).decode("utf-8", "replace")
