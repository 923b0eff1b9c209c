"""The machine that a run is on: its device, how that computes, and the words that tell it from another."""

import functools
import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from trainables.device import memory

DRIVER = Path("/sys/module/nvidia/version")  # the version of the NVIDIA driver, on Linux
LIBRARIES = ("torchvision", "timm", "numpy", "scipy", "pillow")  # their versions also decide numbers
CUBLAS_WORKSPACE = ":4096:8"  # makes cuBLAS add in one order; torch asks for it


def device() -> torch.device:
    """Return the GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def seconds_of(compute: Callable[[], object]) -> float:
    """Return the seconds that ``compute`` takes, with all that it has a GPU do.

    Without a GPU they are those in which this thread computes, as on a machine that does nothing else.
    """
    on_gpu = torch.cuda.is_available()
    clock = time.perf_counter if on_gpu else time.thread_time
    start = clock()
    compute()
    if on_gpu:
        torch.cuda.synchronize()
    return clock() - start


def set_up(*, deterministic: bool) -> None:
    """Set what holds for the whole process; a process may run one trial after another.

    cuDNN always computes in one way: which algorithm a timing finds fastest differs between processes, and so does the
    order of a sum. ``deterministic`` also refuses every operation of a GPU that adds in an order of its own.
    """
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.set_float32_matmul_precision("high")
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", CUBLAS_WORKSPACE)
    torch.use_deterministic_algorithms(deterministic)
    memory.keep_freed()


@functools.cache
def library_versions() -> str:
    """Return the names and versions of ``LIBRARIES``, which are read from the disk once."""
    return ", ".join(f"{name} {version(name)}" for name in LIBRARIES)


def environment(device: torch.device) -> dict[str, str]:
    """Return what decides, besides the seed, the order in which numbers are added up: hardware and versions.

    The hardware is the name of the GPU, or the instructions of the CPU and the number of threads if there are several.
    """
    words = {"python": platform.python_version(), "torch": str(torch.__version__), "libraries": library_versions()}
    if device.type != "cuda":
        cpu = f"{platform.machine()} CPU with {torch.backends.cpu.get_cpu_capability()}"
        threads = torch.get_num_threads()
        return {"hardware": cpu if threads == 1 else f"{cpu} and {threads} threads", **words}
    words |= {"hardware": torch.cuda.get_device_name(device), "cuda": str(torch.version.cuda)}
    words["cudnn"] = str(torch.backends.cudnn.version())
    if DRIVER.exists():
        words["driver"] = DRIVER.read_text(encoding="utf-8").strip()
    return words


def precision_of(wanted: str, device: torch.device) -> torch.dtype:
    """Return the dtype; ``auto`` is float32 on the CPU, bfloat16 on a GPU that computes in it, else float16."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
