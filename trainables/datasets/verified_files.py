"""Files known by their checksums: they are looked for, fetched under a lock, and never used unless they are right.

A data set names the files it wants and where they can come from (``Source``). Whatever a source gives is checked,
written to a scratch folder and moved into place in one step, so a reader sees a right file or none.
"""

import hashlib
import os
import shutil
import sys
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from trainables.datasets.dataset import DataError

Contents = Iterator[tuple[str, bytes]]  # paths under the data root, and what belongs there


class Source(NamedTuple):
    """One place that files can come from."""

    name: str  # shown to the user: "trying {name} ..."
    contents: Contents  # a generator, which begins when the source is tried; DataError when it cannot serve
    needs: Path | None = None  # the source is tried only if this exists


def in_data_root(root: Path, name: str, contents: Contents) -> Source:
    """Return the source that is tried if the data root has a file or folder of this name."""
    return Source(f"{name} in the data root", contents, needs=root / name)


def say(line: str) -> None:
    """Print one line of progress on stderr, for work that takes more than a moment."""
    print(line, file=sys.stderr, flush=True)


def md5_of(content: bytes) -> str:
    """Return the hex digest. The official pages publish MD5; here it guards against accidents only."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256_of(file: Path) -> str:
    """Return the hex digest of a file's content."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def unusable(root: Path, md5: Mapping[str, str]) -> list[str]:
    """Return the paths of ``md5`` that cannot be read under ``root`` or differ from their checksum."""
    return [path for path, digest in md5.items() if not has_md5(root / path, digest)]


def read_verified(root: Path, path: str, md5: Mapping[str, str]) -> bytes:
    """Return the content of ``root / path``; DataError when the file is missing or its checksum is wrong."""
    try:
        content = (root / path).read_bytes()
    except OSError as error:
        raise DataError(f"{root / path} cannot be read ({error.strerror})") from error
    if (digest := md5_of(content)) != md5[path]:
        raise DataError(f"{root / path} is broken: its md5 is {digest} instead of {md5[path]}")
    return content


def read_member(archive: tarfile.TarFile, member: str | tarfile.TarInfo) -> bytes:
    """Return the content of a file that an open archive is known to hold."""
    content = archive.extractfile(member)
    assert content is not None  # it is no folder
    return content.read()


def archive_members(root: Path, archive: str, md5: Mapping[str, str], paths: Iterable[str]) -> Contents:
    """Yield the members ``paths`` of a tar archive in the data root, whose checksum is verified before it is opened."""
    if not has_md5(root / archive, md5[archive]):
        raise DataError(f"{root / archive} is broken: its md5 is not {md5[archive]}")
    with tarfile.open(root / archive) as members:
        for path in paths:
            yield path, read_member(members, path)


def fetch(root: Path, title: str, md5: Mapping[str, str], sources: Iterable[Source], remedy: str) -> None:
    """Make sure that every file of ``md5`` is intact under ``root``; return at once when they all are.

    The sources are tried in this order. ``title`` is the name of the data set for people, and ``remedy`` ends the error
    when no source can serve.
    """
    if not unusable(root, md5):
        return
    with locked_scratch(root, title) as scratch:
        missing = unusable(root, md5)  # another process may have served while this one waited for the lock
        if not missing:
            return
        failures = [f"{root / path} is broken" for path in missing if os.path.exists(root / path)]
        for source in sources:
            if source.needs is not None and not os.path.exists(source.needs):
                continue
            say(f"{title}: trying {source.name} ...")
            try:
                _take(source, root, scratch, {path: md5[path] for path in missing})
            except DataError as error:
                failures.append(f"{source.name}: {error}")
                say(f"{title}: {source.name} failed ({error})")
            else:
                say(f"{title}: complete in {root}")
                return
    raise DataError(f"{title} could not be obtained ({'; '.join(failures) or 'no source'}); {remedy}")


def _take(source: Source, root: Path, scratch: Path, md5: Mapping[str, str]) -> None:
    staged: dict[str, Path] = {}
    for path, content in source.contents:
        if path not in md5:
            continue
        if (digest := md5_of(content)) != md5[path]:
            raise DataError(f"its {path} is broken: the md5 is {digest} instead of {md5[path]}")
        staged[path] = scratch / f"staged-{len(staged)}"
        staged[path].write_bytes(content)
    if lacking := md5.keys() - staged.keys():
        raise DataError(f"it holds no {', '.join(sorted(lacking))}")
    for path, file in staged.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        os.replace(file, root / path)


@contextmanager
def locked_scratch(root: Path, title: str) -> Iterator[Path]:
    """Yield an empty folder in the data root (so that moving out of it is atomic), for one process at a time."""
    scratch = root / f".{title.lower()}-partial"
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = root / f".{title.lower()}.lock"
        file.open("ab").close()  # where no file can be made, as in /proc, FileLock would try for ever
        lock = FileLock(file)
        try:
            lock.acquire(timeout=1)
        except Timeout:
            say(f"{title}: waiting for another process that is fetching it ...")
            lock.acquire()
        try:
            shutil.rmtree(scratch, ignore_errors=True)  # left behind by a process that was killed
            scratch.mkdir()
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            lock.release()
    except OSError as error:
        reason = error.strerror or error
        raise DataError(
            f"{title} cannot be written to the data root {root} ({reason}); name a writable folder"
        ) from error


def has_md5(file: Path, digest: str) -> bool:
    """Return whether the file can be read and has this checksum."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == digest
    except OSError:
        return False
