"""The names and labels of the images of a list."""

from trainables.datasets.file_list import FileList


def pairs(files: FileList) -> set[tuple[str, int]]:
    return {(files.name(i), int(files.labels[i])) for i in range(len(files))}
