"""What is true of one machine, as far as a study there depends on it. Found out by ``collect``, on that machine."""

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from mixlab.doctor import probes
from mixlab.doctor.probes import Gpus
from mixlab.provenance import constraints_hash
from mixlab.storage.probe import probe

PACKAGES = ("ray", "torch", "torchvision", "numpy", "pyarrow", "cloudpickle")
MIB = 2**20


@dataclass(frozen=True)
class Question:
    """What a study would use; the names are those of its options."""

    tracking_uri: str
    storage: str  # absolute, or a URI
    data_root: str  # absolute
    dataset: str | None
    marker: str  # a file that the driver has written to the storage


@dataclass(frozen=True)
class Facts:
    """Of one machine. An empty text is no problem."""

    node: str  # its name for the reader
    versions: dict[str, str]
    commit: str  # that the image was built from; empty outside an image
    constraints: str  # the hash of the image's constraints.txt; empty outside an image
    cpus: int
    gpus: Gpus
    memory_mib: int  # in all, within the container's limit
    memory_free_mib: int
    shm_mib: int  # the size of /dev/shm, where Ray keeps objects; 0 where there is none
    disk_mib: int  # of Ray's temporary folder
    disk_free_mib: int
    dataset: str  # why the data set cannot be read
    storage: str  # why the storage cannot be written
    sees_marker: bool  # whether it is the driver's storage
    tracking: str  # why the tracking server cannot be used
    clock_skew: float = 0.0  # seconds ahead of the driver
    clock_error: float = 0.0  # seconds by which that may be wrong
    ray_gpus: float | None = None  # GPUs that Ray counts on the node; None for the driver


def collect(asked: Question, node: str = "driver") -> Facts:
    """The facts of this machine. Takes seconds; a server that swallows packets is waited for 15 s."""
    storage, sees_marker = probe(asked.storage, asked.marker)
    disk = shutil.disk_usage(tempfile.gettempdir())
    shm = Path("/dev/shm")
    memory_mib, memory_free_mib = memory()
    return Facts(
        node=node,
        versions=versions(),
        commit=os.environ.get("MIXLAB_COMMIT", ""),
        constraints=constraints_hash(Path("/")),
        cpus=len(os.sched_getaffinity(0)),
        gpus=probes.gpus(),
        memory_mib=memory_mib,
        memory_free_mib=memory_free_mib,
        shm_mib=shutil.disk_usage(shm).total // MIB if shm.exists() else 0,
        disk_mib=disk.total // MIB,
        disk_free_mib=disk.free // MIB,
        dataset=probes.dataset(asked.dataset, Path(asked.data_root)),
        storage=storage,
        sees_marker=sees_marker,
        tracking=probes.tracking(asked.tracking_uri),
    )


def versions() -> dict[str, str]:
    """Of Python and of the packages whose versions must agree; what is not installed is left out."""
    found = {"Python": platform.python_version()}
    for name in (*PACKAGES, "mixlab"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def memory() -> tuple[int, int]:
    """Memory in all and free, MiB: of the container if it has a limit, else of the machine."""
    total, free = psutil.virtual_memory().total, psutil.virtual_memory().available
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):  # no limit: the file is missing, or says "max"
        return total // MIB, free // MIB
    return min(total, limit) // MIB, max(0, min(free, limit - used)) // MIB
