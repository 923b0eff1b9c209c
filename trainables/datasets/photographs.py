"""The parts that the data sets of photographs share: networks see 224 pixels, and the images stay on disk."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainables.datasets.dataset import DataError, Dataset, Splits
from trainables.datasets.file_list import FileList
from trainables.datasets.folder import FOLDER
from trainables.datasets.image_files import require_count

# It takes the data root and the number of classes, and returns the images to train and those to test on.
Lister = Callable[[Path, int], Iterable[FileList]]


def photographs(
    *,
    title: str,
    num_classes: int,
    num_train: int,
    num_test: int,
    files: Lister,
    remedy: str,
    fetch: Callable[[Path], None] | None = None,
    **described: Any,
) -> Dataset:
    """Return a data set of photographs that is tested on the centre of the image, 224 of 256 pixels.

    ``title`` is its name for people, and ``files`` lists both splits. ``remedy`` says how to complete it by hand, with
    ``{root}`` for the data root; ``fetch`` downloads the missing part, if that is allowed. All else, its ``name`` and
    its ``folder`` at least, is as in ``Dataset``.
    """

    def load(root: Path) -> Splits:
        train, test = files(root, num_classes)
        return Splits(require_count(train, num_train), require_count(test, num_test))

    def prepare(root: Path) -> None:
        if fetch is not None:
            fetch(root)
        try:
            load(root)
        except DataError as error:
            raise DataError(f"{title} is not complete ({error}); {remedy.format(root=root)}") from error

    return replace(
        FOLDER,
        num_classes=num_classes,
        num_train=num_train,
        num_test=num_test,
        prepare=prepare,
        load=load,
        fetched=fetch is not None,
        in_folder=False,
        **described,
    )
