"""The memory of a run: how its process reuses it, and the most that it took.

It is counted on the GPU where there is one, else in the run's process and in the workers that decode its images.
"""

import contextlib
import ctypes
import re
import resource
import sys
from pathlib import Path

import psutil
import torch

MIB = 2**20
C_LIBRARY = ctypes.CDLL(None)
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # parameters of mallopt(3)
# The messages of CUDA and its libraries about a full GPU; torch's own allocator has an exception for it. Where no
# algorithm gets its memory, cuDNN finds no engine.
FULL = re.compile(
    r"(CUDA( driver)?|cu\w+) error: (out of memory|CU\w+_(ALLOC_FAILED|NOT_INITIALIZED|INTERNAL_ERROR))"
    r"|Triton Error \[CUDA\]: out of memory|^(GET|FIND) was unable to find an engine"
)


def keep_freed() -> None:
    """Let this process keep the memory of freed tensors, in which it makes the next ones.

    By default the GNU C library gives large blocks back, and the system fills every page of the next ones with zeros.
    That took a third of the processor time of a small network's test pass, and 7 % of that of a step of SUMix.
    """
    with contextlib.suppress(AttributeError):  # only the GNU C library has it
        C_LIBRARY.mallopt(M_MMAP_MAX, 0)
        C_LIBRARY.mallopt(M_TRIM_THRESHOLD, -1)


def ran_out(error: RuntimeError) -> bool:
    """Return whether an error says that a GPU has no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or FULL.search(str(error)) is not None


def forget_peak() -> float:
    """Start counting afresh; return the MiB that this process holds now, which do not belong to the next run.

    Free memory that the process keeps is given back before: the next run would take it uncounted. Where the system
    cannot reset its count, the process's earlier peak remains.
    """
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(AttributeError):
        C_LIBRARY.malloc_trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # Linux: resets the peak of the resident set
    return psutil.Process().memory_info().rss / MIB


def peak_mib(device: torch.device) -> float:
    """Return the peak since ``forget_peak``, in MiB: tensors on a GPU, else resident memory of this process alone."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    with contextlib.suppress(OSError, StopIteration):
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        peak = next(line for line in status if line.startswith("VmHWM:"))  # in KiB
        return int(peak.split()[1]) * 1024 / MIB
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MIB


def workers_mib() -> float:
    """Return the MiB that the children of this process hold now and do not share with it."""
    total = 0
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            total += child.memory_full_info().uss
    return total / MIB
