"""Tries what a study would do on this machine. Each probe answers with the reason of a failure, empty for none."""

import contextlib
import os
import pkgutil
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.fs

from mixlab.journal import filesystem_of

ANSWER_SECONDS = 15
# By name: this package knows nothing of images, and imports nothing that does.
DATASETS = "trainables.datasets:DATASETS"
COUNT_GPUS = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0, torch.version.cuda)"


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a machine."""

    names: tuple[str, ...] = ()  # as the driver lists them
    driver: str = ""  # its version
    usable: int = 0  # as torch counts them
    cuda: str = ""  # that torch was built for


def gpus() -> Gpus:
    """What the driver lists and torch can use."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return Gpus()
    rows = [line.rsplit(", ", 1) for line in lines if ", " in line]
    # In a process of its own: Ray hides the GPUs from a task that has not asked for one.
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    counted = subprocess.run([sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True, env=environment)
    count, _, cuda = counted.stdout.strip().partition(" ")
    return Gpus(tuple(name for name, _ in rows), rows[0][1] if rows else "", int(count or 0), cuda)


def storage(root: str, marker: str) -> tuple[str, bool]:
    """Write, read and delete a file; and whether the driver's ``marker`` is there."""
    try:
        filesystem, path = filesystem_of(root)
        new = absent(filesystem, path)
        sees_marker = filesystem.get_file_info(f"{path}/{marker}").type == pyarrow.fs.FileType.File
        try:
            write(filesystem, path, probe := f".doctor-{secrets.token_hex(6)}")
            with filesystem.open_input_stream(f"{path}/{probe}") as stream:
                same = stream.read() == probe.encode()
            filesystem.delete_file(f"{path}/{probe}")
        finally:
            if new:
                remove_if_empty(filesystem, path)
    except (OSError, ValueError) as error:
        return first_line(error), False
    return "" if same else "what was written is not what is read", sees_marker


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


def tracking(uri: str) -> str:
    """Ask a server what a client asks, with the Host header that the address gives; nothing is asked of a file."""
    if urlsplit(uri).scheme not in ("http", "https"):
        return ""
    request = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return "" if b"experiments" in answer.read() else "it is no MLflow server"
    except urllib.error.HTTPError as error:
        reason = error.read(200).decode(errors="replace").strip().partition("\n")[0]
        return f"HTTP {error.code} {reason}".strip()
    except (OSError, ValueError) as error:
        return first_line(error)


def dataset(name: str | None, data_root: Path) -> str:
    """Read the data set, without fetching it; nothing is read where none is named."""
    if name is None:
        return ""
    try:
        pkgutil.resolve_name(DATASETS)[name].load(data_root)
    except (ValueError, OSError, ImportError) as error:
        return first_line(error)
    return ""


def first_line(error: BaseException) -> str:
    """What went wrong, in a line."""
    reason = getattr(error, "reason", error)  # of a URLError
    return (str(reason).strip() or type(error).__name__).splitlines()[0]
