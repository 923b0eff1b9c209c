"""Tries a storage in the way in which a study will use it, and does not wait for ever.

A storage behind a URI is tried in a process of its own: pyarrow waits minutes for a server that does not answer,
and even then keeps its process from ending.
"""

import contextlib
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.fs

from mixlab.errors import BadInput, first_line
from mixlab.passwords import shown
from mixlab.storage.journal import filesystem_of, usable

ANSWER_SECONDS = 20.0  # pyarrow asks a server that refuses connections for 6


def require_storage(root: str, writable: bool = True) -> None:
    """Raise ``BadInput`` unless the storage answers and, if it is to be ``writable``, takes files."""
    fault = probe(root)[0] if writable else _ask("look", root)[0]
    if fault:
        wanted = "written" if writable else "read"
        raise BadInput(f"--storage {shown(root)!r} cannot be {wanted} ({fault}); {usable(root)}")


def probe(root: str, marker: str = "") -> tuple[str, bool]:
    """Return why a file cannot be written, read and deleted there, empty if it can; and whether ``marker`` exists."""
    with _left_as_it_was(root):
        return _ask("probe", root, marker)


@contextlib.contextmanager
def marked(root: str, name: str) -> Iterator[None]:
    """Keep a file ``name`` in the storage inside the block, if it can be written."""
    with _left_as_it_was(root):
        fault, _ = _ask("write", root, name)
        try:
            yield
        finally:
            if not fault:
                _ask("delete", root, name)


@contextlib.contextmanager
def _left_as_it_was(root: str) -> Iterator[None]:
    """Remove each folder on this machine that is new after the block, unless it is no longer empty."""
    local = root.removeprefix("file://")
    places = () if "://" in local else (Path(local), *Path(local).parents)
    new = [folder for folder in places if not os.path.exists(folder)]
    try:
        yield
    finally:
        for folder in new:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _ask(what: str, root: str, name: str = "") -> tuple[str, bool]:
    """Return why one of ``ATTEMPTS`` fails, empty if it succeeds; and what it finds."""
    if "://" not in root:
        return _attempt(what, root, name)
    command = [sys.executable, "-m", "mixlab.storage.probe"]
    asked = json.dumps([what, root, name])  # not an argument: everybody can read those, and a URI may hold a key
    try:
        child = subprocess.run(command, input=asked, capture_output=True, text=True, timeout=ANSWER_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no answer within {ANSWER_SECONDS:g} s", False
    if child.returncode:
        return shown((child.stderr.strip().splitlines() or ["its client crashed"])[-1]), False
    fault, found = json.loads(child.stdout)
    return fault, found


def _attempt(what: str, root: str, name: str) -> tuple[str, bool]:
    try:
        return "", ATTEMPTS[what](*filesystem_of(root), name)
    except Exception as error:  # any file system's own exceptions
        return first_line(error).rstrip("."), False


def _look(filesystem: pyarrow.fs.FileSystem, path: str, _: str) -> bool:
    """Return whether the folder exists yet."""
    bucket = path.partition("/")[0]
    if isinstance(filesystem, pyarrow.fs.S3FileSystem) and not _there(filesystem, bucket):
        raise OSError(f"there is no bucket {bucket!r}")
    _require_no_file(filesystem, path)
    return _there(filesystem, path)


def _require_no_file(filesystem: pyarrow.fs.FileSystem, path: str) -> None:
    """Raise ``NotADirectoryError`` if the path, or on this machine what it begins with, exists and is no folder."""
    begins, local = Path(path), isinstance(filesystem, pyarrow.fs.LocalFileSystem)
    while local and not os.path.lexists(begins):
        begins = begins.parent
    broken = local and not begins.exists()
    if broken or filesystem.get_file_info(str(begins)).type == pyarrow.fs.FileType.File:
        raise NotADirectoryError(f"{str(begins)!r} is {'a link to nothing' if broken else 'a file'}")


def _write(filesystem: pyarrow.fs.FileSystem, path: str, name: str) -> bool:
    """Write a file that holds its own name."""
    _require_no_file(filesystem, path)
    filesystem.create_dir(path)
    with filesystem.open_output_stream(f"{path}/{name}") as stream:
        stream.write(name.encode())
    return True


def _delete(filesystem: pyarrow.fs.FileSystem, path: str, name: str) -> bool:
    filesystem.delete_file(f"{path}/{name}")
    return True


def _probe(filesystem: pyarrow.fs.FileSystem, path: str, marker: str) -> bool:
    """Write, read and delete a file; return whether ``marker`` exists."""
    name = f".probe-{secrets.token_hex(6)}"
    _write(filesystem, path, name)
    with filesystem.open_input_stream(f"{path}/{name}") as stream:
        stream.read()
    _delete(filesystem, path, name)
    return bool(marker) and _there(filesystem, f"{path}/{marker}")


def _there(filesystem: pyarrow.fs.FileSystem, path: str) -> bool:
    return bool(filesystem.get_file_info(path).type != pyarrow.fs.FileType.NotFound)


ATTEMPTS = {"look": _look, "write": _write, "delete": _delete, "probe": _probe}

if __name__ == "__main__":
    print(json.dumps(_attempt(*json.load(sys.stdin))))
