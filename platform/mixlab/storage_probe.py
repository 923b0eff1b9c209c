"""Tries a storage as a study will use it, and does not wait for ever: pyarrow alone would for minutes."""

import contextlib
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow.fs

from mixlab.errors import BadInput, first_line
from mixlab.journal import filesystem_of
from mixlab.uris import shown

ANSWER_SECONDS = 20.0  # one that refuses connections is asked three times, which takes 6


def require_storage(root: str, writable: bool = True) -> None:
    """Raise ``BadInput`` unless the storage answers and, if it is to be ``writable``, takes files."""
    fault = probe(root)[0] if writable else in_time(lambda: _look(root))
    if fault:
        hint = "give a folder, or a URI that pyarrow.fs knows"
        if root.startswith("s3:"):
            hint = "give a bucket that is there, and its key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        raise BadInput(f"--storage {shown(root)!r} cannot be {'written' if writable else 'read'} ({fault}); {hint}")


def probe(root: str, marker: str = "") -> tuple[str, bool]:
    """Why a file cannot be written, read and deleted there, empty for no reason; and whether ``marker`` is there."""
    seen = []

    def attempt() -> None:
        filesystem, path = filesystem_of(root)
        new = absent(filesystem, path)
        seen.append(bool(marker) and not absent(filesystem, f"{path}/{marker}"))
        try:
            write(filesystem, path, name := f".probe-{secrets.token_hex(6)}")
            with filesystem.open_input_stream(f"{path}/{name}") as stream:
                same = stream.read() == name.encode()
            filesystem.delete_file(f"{path}/{name}")
        finally:
            if new:
                remove_if_empty(filesystem, path)
        if not same:
            raise OSError("what was written is not what is read")

    fault = in_time(attempt)
    return fault, not fault and seen[0]


def in_time(attempt: Callable[[], None]) -> str:
    """Why an attempt fails, in a line; empty where it does not."""
    fault = [f"no answer within {ANSWER_SECONDS:g} s"]

    def run() -> None:
        try:
            attempt()
            fault[0] = ""
        except Exception as error:  # any file system's own exceptions
            fault[0] = shown(first_line(error)).rstrip(".")

    trying = threading.Thread(target=run, daemon=True)
    trying.start()
    trying.join(ANSWER_SECONDS)
    return fault[0]


def absent(filesystem: pyarrow.fs.FileSystem, path: str) -> bool:
    """Whether nothing is there yet."""
    return bool(filesystem.get_file_info(path).type == pyarrow.fs.FileType.NotFound)


def remove_if_empty(filesystem: pyarrow.fs.FileSystem, path: str) -> None:
    """Remove a local folder that holds nothing; others cannot be removed without what came into them meanwhile."""
    if isinstance(filesystem, pyarrow.fs.LocalFileSystem):
        with contextlib.suppress(OSError):
            Path(path).rmdir()


def write(filesystem: pyarrow.fs.FileSystem, folder: str, name: str) -> None:
    """Write a file that holds its own name."""
    filesystem.create_dir(folder)
    with filesystem.open_output_stream(f"{folder}/{name}") as stream:
        stream.write(name.encode())


def _look(root: str) -> None:
    filesystem, path = filesystem_of(root)
    filesystem.get_file_info(path)
    if isinstance(filesystem, pyarrow.fs.S3FileSystem) and absent(filesystem, bucket := path.partition("/")[0]):
        raise OSError(f"there is no bucket {bucket!r}")
