"""Image files as the official archives lay them out: a folder a class, or a text file that lists them.

Everything is checked where it is read: an error names the first file or folder that is wrong.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from trainables.datasets.dataset import DataError
from trainables.datasets.file_list import FileList, shown
from trainables.datasets.verified_files import say
from trainables.refusals import counted

# Those of torchvision's ImageFolder, and more that Pillow reads.
ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"),
    *(".jfif", ".jpe", ".gif", ".pbm", ".pnm", ".jp2", ".avif"),
)
_say_once = cache(say)


def class_names(folder: Path, num_classes: int | None = None) -> list[str]:
    """Return the names of the class folders in ``folder``, sorted: the order that numbers the classes."""
    names = sorted(entry.name for entry in entries(folder) if _is_folder(entry) and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder} has no class folders")
    if num_classes is not None and len(names) != num_classes:
        raise DataError(f"{folder} has {counted(len(names), 'class folder')} instead of {num_classes}")
    return names


def test_folder(folder: Path) -> Path | None:
    """Return the folder of the test split, by whichever of its usual names it has, or None if there is none."""
    return next((folder / name for name in ("test", "val", "validation") if os.path.isdir(folder / name)), None)


def in_class_folders(folder: Path, classes: Sequence[str], *, inner: str = "") -> FileList:
    """Return every image in and below ``folder/<class>/<inner>``; its label is the index of the class in ``classes``.

    As in torchvision's ImageFolder, the folders of a class may have folders. Hidden files are left out; so are files
    that are not images, which is reported once. ``DataError`` says that a class folder is missing, has no image, or is
    not among ``classes``, or that a link leads nowhere or back to a folder above it.
    """
    if unknown := sorted(set(class_names(folder)) - set(classes)):
        raise DataError(f"{shown(folder / unknown[0])} is not one of the classes")
    names: list[str] = []
    labels: list[int] = []
    others: list[str] = []
    for label, name in enumerate(classes):
        prefix = f"{name}/{inner}/" if inner else f"{name}/"
        files = [prefix + file for file in _below(folder / prefix)]
        found = [file for file in files if file.lower().endswith(ENDINGS)]
        if not found:
            raise DataError(f"the class folder {shown(folder / prefix)} has no image")
        names += found
        labels += [label] * len(found)
        others += [file for file in files if not file.lower().endswith(ENDINGS)]
    if others:
        left_out = f"left out {counted(len(others), 'file')} without the ending of an image"
        _say_once(f"{shown(folder)}: {left_out}, such as {shown(Path(others[0]))}")
    return FileList.of(folder, names, labels)


def listed(folder: Path, table: Path, pairs: Iterable[tuple[str, Any]], label_of: Mapping[Any, int]) -> FileList:
    """Return the images in ``folder`` whose names and classes the file ``table`` gives, read as ``pairs``.

    Raises:
        DataError: the first class that is not one of ``label_of``, which are in the order of their labels, or the first
            image that is missing.
    """
    pairs = list(pairs)
    there: dict[str, set[str]] = {}
    for name, kind in pairs:
        if kind not in label_of:
            known = [*label_of]
            raise DataError(
                f"{table} gives {name} the class {kind!r}, which is not one of the {len(known)} classes, {known[0]!r} "
                f"to {known[-1]!r}"
            )
        inner, _, file = name.rpartition("/")
        if inner not in there:
            there[inner] = {entry.name for entry in entries(folder / inner) if not _is_dangling(entry)}
        if file not in there[inner]:
            raise DataError(f"{shown(folder / name)} is missing")
    return FileList.of(folder, [name for name, _ in pairs], [label_of[kind] for _, kind in pairs])


def require_count(images: FileList, count: int) -> FileList:
    """Return ``images``; raise ``DataError`` unless there are ``count`` of them."""
    if len(images) != count:
        raise DataError(
            f"{images.root} has {counted(len(images), 'image')} instead of {count}: the copy is not complete"
        )
    return images


def text_of(path: Path) -> str:
    """Return the content of a text file; ``DataError`` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({getattr(error, 'strerror', None) or error})") from error


def read_table(path: Path, columns: int, *, separator: str | None = None) -> list[list[str]]:
    """Return the lines of a text file, each cut into ``columns`` words; the last word may contain the separator."""
    table: list[list[str]] = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        if line.strip():
            table.append(line.strip().split(separator, columns - 1))
            if len(table[-1]) != columns:
                raise DataError(
                    f"{path} is broken: line {number} has {counted(len(table[-1]), 'word')} instead of {columns}"
                )
    return table


def _below(folder: Path, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the files in and below ``folder``, by their names relative to it, without hidden ones.

    ``above`` are the folders through which it was reached, without links.
    """
    real = os.path.realpath(folder)
    if real in above:
        raise DataError(f"{shown(folder)} is a link to a folder above it, whose images would be read again and again")
    for entry in entries(folder):
        if _is_folder(entry) and not entry.name.startswith("."):
            yield from (f"{entry.name}/{name}" for name in _below(folder / entry.name, (*above, real)))
        elif not entry.name.startswith("."):
            if _is_dangling(entry):
                raise DataError(f"{shown(folder / entry.name)} is a link that leads nowhere")
            yield entry.name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder or leads to one; a link that cannot be followed does not."""
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()


def _is_dangling(entry: os.DirEntry[str]) -> bool:
    """Return whether an entry is a link that leads nowhere; no other file is looked at, which would take minutes."""
    return entry.is_symlink() and not os.path.exists(entry)


def files_in(folder: Path) -> list[Path]:
    """Return what a folder holds, in the order of names; ``DataError`` if it cannot be read."""
    return sorted(folder / entry.name for entry in entries(folder))


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what a folder holds; ``DataError`` if it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        raise DataError(f"the folder {folder} is missing") from None
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be read ({error.strerror})") from error
