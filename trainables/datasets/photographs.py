"""The parts that the data sets of photographs share: networks see 224 pixels, and the images stay on disk."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainables.datasets.dataset import Boxes, DataError, Dataset, Splits
from trainables.datasets.file_list import FileList
from trainables.datasets.folder import FOLDER
from trainables.datasets.image_files import integers, listed, read_table, require_count

# It takes the data root and the number of classes, and returns the images to train and those to test on.
Lister = Callable[[Path, int], Iterable[FileList]]


def photographs(
    *,
    name: str,
    title: str,
    folder: str,
    num_classes: int,
    num_train: int,
    num_test: int,
    files: Lister,
    remedy: str,
    fetch: Callable[[Path], None] | None = None,
    boxes: Callable[[Path], Boxes] | None = None,
) -> Dataset:
    """Return a data set of photographs that is tested on the centre of the image, 224 of 256 pixels.

    ``name`` is its name in ``DATASETS``, ``title`` its name for people, ``folder`` its folder in the data root, and
    ``files`` lists both splits. ``remedy`` says how to complete it by hand, with ``{root}`` for the data root;
    ``fetch`` downloads the missing part, if that is allowed, and ``boxes`` reads those around the objects.
    """
    load = partial(load_whole, files=files, num_classes=num_classes, num_train=num_train, num_test=num_test)

    def prepare(root: Path) -> None:
        if fetch is not None:
            fetch(root)
        try:
            load(root)
        except DataError as error:
            raise DataError(f"{title} is not complete ({error}); {remedy.format(root=root)}") from error

    return replace(
        FOLDER,
        name=name,
        num_classes=num_classes,
        num_train=num_train,
        num_test=num_test,
        prepare=prepare,
        load=load,
        folder=folder,
        fetched=fetch is not None,
        boxes=boxes,
        in_folder=False,
    )


def load_whole(root: Path, *, files: Lister, num_classes: int, num_train: int, num_test: int) -> Splits:
    """List both splits; raise ``DataError`` if there are more or fewer images."""
    train, test = files(root, num_classes)
    return Splits(require_count(train, num_train), require_count(test, num_test))


def listed_with_labels(table: Path, images: Path, num_classes: int) -> FileList:
    """Return the images in the folder ``images`` that a text file lists, a name and a label in each line."""
    rows = read_table(table, 2)
    labels = integers(table, (label for _, label in rows))
    for (name, _), label in zip(rows, labels, strict=True):
        if not 0 <= label < num_classes:
            raise DataError(f"{table} has the label {label} for {name}, but labels lie in 0..{num_classes - 1}")
    return listed(images, ((name.lstrip("/"), label) for (name, _), label in zip(rows, labels, strict=True)))
