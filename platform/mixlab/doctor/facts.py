"""The facts about one machine on which a study there depends; ``collect`` finds them out on that machine."""

import os
import platform
import resource
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from mixlab.cluster import ray_private
from mixlab.cluster.resources import cpu_count
from mixlab.doctor import probes
from mixlab.doctor.probes import Gpus
from mixlab.provenance import constraints_hash, installed
from mixlab.storage.probe import probe
from mixlab.uris import existing_part

PACKAGES = ("ray", "torch", "torchvision", "numpy", "pyarrow", "cloudpickle", "mixlab")  # whose versions must agree
MIB = 2**20


@dataclass(frozen=True)
class Question:
    """The machine's resources that a study would use; the names are those of its options."""

    tracking_uri: str
    storage: str  # absolute, or a URI
    data_root: str  # absolute
    dataset: str | None
    marker: str  # a file that the driver has written to the storage


class Disk(NamedTuple):
    """The free and the total space of a file system."""

    mib: int
    free_mib: int


@dataclass(frozen=True)
class Facts:
    """The facts of one machine. An empty text stands for no problem."""

    node: str  # its name, for the reader
    versions: dict[str, str]
    commit: str  # the commit that the image was built from; empty outside an image
    constraints: str  # the hash of the image's constraints.txt; empty outside an image
    cpus: int
    gpus: Gpus
    load: float  # the mean number of threads that ran or waited for a processor in the last minute
    memory_free_mib: int  # within the container's limit
    shm_mib: int  # the size of /dev/shm, where Ray keeps objects; 0 where there is none
    temporary: Disk  # where a trial writes its checkpoint before it goes to the storage
    ray: Disk  # where Ray keeps its files
    files: int  # the number that a process may open
    dataset: str  # why the data set cannot be read
    storage: str  # why the storage cannot be written
    sees_marker: bool  # whether this is the driver's storage
    tracking: str  # why the tracking server cannot be used
    storage_disk: Disk | None = None  # for a storage that is a folder
    clock_skew: float = 0.0  # seconds ahead of the driver
    clock_error: float = 0.0  # the seconds by which that may be wrong
    ray_gpus: float | None = None  # GPUs that Ray counts on the node; None for the driver


def collect(asked: Question, node: str = "driver") -> Facts:
    """Return the facts of this machine. It takes seconds, and waits 15 s for a server that swallows packets."""
    storage, sees_marker = probe(asked.storage, asked.marker)
    shm = Path("/dev/shm")
    return Facts(
        node=node,
        versions={"Python": platform.python_version(), **installed(PACKAGES)},
        commit=os.environ.get("MIXLAB_COMMIT", ""),
        constraints=constraints_hash(Path("/")),
        cpus=cpu_count(),
        gpus=probes.gpus(),
        load=os.getloadavg()[0],
        memory_free_mib=free_memory(),
        shm_mib=shutil.disk_usage(shm).total // MIB if shm.exists() else 0,
        temporary=disk(Path(tempfile.gettempdir())),
        ray=disk(ray_private.folder()),
        files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        dataset=probes.dataset(asked.dataset, Path(asked.data_root)),
        storage=storage,
        sees_marker=sees_marker,
        tracking=probes.tracking(asked.tracking_uri),
        storage_disk=None if "://" in asked.storage else disk(Path(asked.storage)),
    )


def disk(folder: Path) -> Disk:
    """Return how full the disk is that holds, or will hold, a folder."""
    usage = shutil.disk_usage(existing_part(folder))
    return Disk(usage.total // MIB, usage.free // MIB)


def free_memory() -> int:
    """Return the free memory in MiB: of the container if it has a limit, else of the machine."""
    free = psutil.virtual_memory().available
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8"))
        used = int(Path("/sys/fs/cgroup/memory.current").read_text(encoding="utf-8"))
    except (OSError, ValueError):  # no limit: the file is missing, or says "max"
        return free // MIB
    return max(0, min(free, limit - used)) // MIB
