"""The facts about one machine on which a study there depends; ``collect`` finds them out on that machine."""

import os
import pkgutil
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from mixlab.cluster import ray_private
from mixlab.cluster.resources import cpu_count
from mixlab.errors import first_line
from mixlab.provenance import constraints_hash, installed
from mixlab.storage.probe import probe
from mixlab.uris import existing_part

PACKAGES = ("ray", "torch", "torchvision", "numpy", "pyarrow", "cloudpickle", "mixlab")  # their versions must agree
MIB = 2**20
CGROUP = Path("/sys/fs/cgroup")  # a container's limits and what it uses
# These are given by name: this package knows nothing about images, and imports nothing that does.
DATASETS = "trainables.datasets:DATASETS"
COUNT_GPUS = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0, torch.version.cuda)"

GPU_DEVICES = ("/dev/kfd", "/dev/nvidiactl")  # of AMD; of NVIDIA, also in a container without nvidia-smi
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")


@dataclass(frozen=True)
class Gpus:
    """The GPUs of a machine."""

    names: tuple[str, ...] = ()  # the driver's list
    driver: str = ""  # its version
    usable: int = 0  # torch's count
    cuda: str = ""  # the version that torch was built for
    fault: str = ""  # why nvidia-smi lists none, though it is there


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
    dataset: str  # why the data set cannot be read
    storage: str  # why the storage cannot be written
    sees_marker: bool  # whether this is the driver's storage
    storage_disk: Disk | None = None  # for a storage that is a folder
    clock_skew: float = 0.0  # seconds ahead of the driver
    clock_error: float = 0.0  # the seconds by which that may be wrong
    ray_gpus: float | None = None  # GPUs that Ray counts on the node; None for the driver


def collect(asked: Question, node: str = "driver") -> Facts:
    """Return the facts of this machine. It takes seconds."""
    storage, sees_marker = probe(asked.storage, asked.marker)
    shm = Path("/dev/shm")
    return Facts(
        node=node,
        versions={"Python": platform.python_version(), **installed(PACKAGES)},
        commit=os.environ.get("MIXLAB_COMMIT", ""),
        constraints=constraints_hash(Path("/")),
        cpus=cpu_count(),
        gpus=find_gpus(),
        load=os.getloadavg()[0],
        memory_free_mib=free_memory(),
        shm_mib=shutil.disk_usage(shm).total // MIB if shm.exists() else 0,
        temporary=disk(Path(tempfile.gettempdir())),
        ray=disk(ray_private.folder()),
        dataset=dataset_fault(asked.dataset, Path(asked.data_root)),
        storage=storage,
        sees_marker=sees_marker,
        storage_disk=None if "://" in asked.storage else disk(Path(asked.storage)),
    )


def disk(folder: Path) -> Disk:
    """Return how full the disk is that holds, or will hold, a folder."""
    usage = shutil.disk_usage(existing_part(folder))
    return Disk(usage.total // MIB, usage.free // MIB)


def free_memory() -> int:
    """Return the free memory in MiB: of the container if it has a limit, else of the machine.

    What files have been read into counts as free, as it does for the machine: the kernel gives it to whoever asks.
    """
    free = psutil.virtual_memory().available
    try:
        limit, used = (int((CGROUP / name).read_text(encoding="utf-8")) for name in ("memory.max", "memory.current"))
        lines = (CGROUP / "memory.stat").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # no limit: a file is missing, or says "max"
        return free // MIB
    of_files = int(dict(map(str.split, lines)).get("inactive_file", 0))
    return max(0, min(free, limit - used + of_files)) // MIB


def find_gpus() -> Gpus:
    """Return the GPUs that NVIDIA's driver lists, and how many torch can use, also of AMD's, which it does not list.

    Slices (MIG) count one by one, as for Ray.
    """
    fault = ""
    try:
        asked = _nvidia_smi("--query-gpu=name,driver_version,mig.mode.current", "--format=csv,noheader").splitlines()
        slices = re.findall(r"^ +(MIG \S+)", _nvidia_smi("-L"), re.MULTILINE)
    except (OSError, subprocess.SubprocessError) as error:
        fault = "" if isinstance(error, OSError) else str(getattr(error, "stdout", None) or error).partition("\n")[0]
        if not any(map(os.path.exists, GPU_DEVICES)):
            return Gpus(fault=fault)  # without the seconds that torch takes
        asked, slices = [], []
    rows = [line.rsplit(", ", 2) for line in asked if line.count(", ") > 1]
    names = (*(name for name, _, mig in rows if mig != "Enabled"), *slices)
    # This runs in a process of its own: Ray hides the GPUs from a task that has not asked for one.
    environment = {key: value for key, value in os.environ.items() if key not in HIDING}
    counted = subprocess.run([sys.executable, "-c", COUNT_GPUS], capture_output=True, text=True, env=environment)
    count, _, cuda = counted.stdout.strip().partition(" ")
    usable = int(count or 0)
    if slices and usable:  # torch counts one, because a process sees one
        usable = len(names)
    return Gpus(names, rows[0][1] if rows else "", usable, cuda, fault)


def _nvidia_smi(*options: str) -> str:
    return subprocess.run(["nvidia-smi", *options], capture_output=True, text=True, timeout=30, check=True).stdout


def dataset_fault(name: str | None, data_root: Path) -> str:
    """Return why a data set cannot be read without fetching it; empty if it can be, or none is named."""
    if name is None:
        return ""
    try:
        pkgutil.resolve_name(DATASETS)[name].load(data_root)
    except (ValueError, OSError, ImportError) as error:
        return first_line(error)
    return ""
