"""Tries what a study would do on this machine. Each probe returns why it fails, or an empty text if it does not."""

import os
import pkgutil
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from mixlab.errors import first_line

ANSWER_SECONDS = 15
# These are given by name: this package knows nothing about images, and imports nothing that does.
DATASETS = "trainables.datasets:DATASETS"
COUNT_GPUS = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0, torch.version.cuda)"


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a machine."""

    names: tuple[str, ...] = ()  # the driver's list
    driver: str = ""  # its version
    usable: int = 0  # torch's count
    cuda: str = ""  # the version that torch was built for


def gpus() -> Gpus:
    """Return the GPUs that the driver lists, and how many torch can use."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return Gpus()
    rows = [line.rsplit(", ", 1) for line in lines if ", " in line]
    # This runs in a process of its own: Ray hides the GPUs from a task that has not asked for one.
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    counted = subprocess.run([sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True, env=environment)
    count, _, cuda = counted.stdout.strip().partition(" ")
    return Gpus(tuple(name for name, _ in rows), rows[0][1] if rows else "", int(count or 0), cuda)


def tracking(uri: str) -> str:
    """Ask a server what a client asks, with the Host header that the address gives; ask nothing of a file."""
    if not uri.startswith(("http://", "https://")):
        return ""
    request = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
            return "" if b"experiments" in answer.read() else "it is no MLflow server"
    except urllib.error.HTTPError as error:
        reason = error.read(200).decode(errors="replace").strip().partition("\n")[0]
        return f"HTTP {error.code} {reason}".strip()
    except (OSError, ValueError, HTTPException) as error:
        return first_line(error)


def dataset(name: str | None, data_root: Path) -> str:
    """Read the data set without fetching it; read nothing if none is named."""
    if name is None:
        return ""
    try:
        pkgutil.resolve_name(DATASETS)[name].load(data_root)
    except (ValueError, OSError, ImportError) as error:
        return first_line(error)
    return ""
