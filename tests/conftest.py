"""The set-up of every test process. What takes seconds to import is in ``tests/libraries.py``."""

import atexit
import ctypes
import gc
import os
import re
import signal
import tempfile
from pathlib import Path

if "TEST_ON_GPU" not in os.environ:  # tests/gpu alone
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks: most tests know the CPU's numbers
# Ray gives its workers the least of the processors: beside two busy tests, a third's trials would stand still.
os.environ.update(RAY_worker_niceness="0")

import pytest

import mixlab  # before any test imports ray, which reads the environment that mixlab sets
from mixlab.cli import end_quickly

__all__ = ["mixlab"]

ALL_SLOW = re.compile(r"^pytestmark = \[?pytest\.mark\.slow\b", re.MULTILINE)

# This acts as Ctrl-C, so that whatever a test has started is ended by its own means.
signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))

# A command in the background of a shell is deaf to SIGINT, with all its children: tests that interrupt one would fail.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Whatever has been imported and collected stays; looking through it again and again for garbage takes seconds.
gc.disable()
atexit.register(end_quickly)

# Ray keeps its sessions, and what is killed keeps what it had: all this goes with the process that began the tests.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # the tests' own folders stay
    left = tempfile.TemporaryDirectory(prefix="mixlab-tests-", ignore_cleanup_errors=True)
    os.chmod(left.name, 0o755)
    os.environ["TMPDIR"] = tempfile.tempdir = left.name


def pytest_configure(config: pytest.Config) -> None:
    """Import the libraries, except in the process that hands the tests to others."""
    if hasattr(config, "workerinput") or getattr(config.option, "dist", "no") == "no":
        _take_two_processors(getattr(config, "workerinput", {}).get("workerid", "gw0"))
        config.pluginmanager.import_plugin("tests.libraries")


def _take_two_processors(worker: str) -> None:
    """Leave this process, and all that it starts, two processors: tests know how many trials train at a time."""
    if hasattr(os, "sched_setaffinity"):
        every, number = sorted(os.sched_getaffinity(0)), int(worker.removeprefix("gw"))
        os.sched_setaffinity(0, {every[(2 * number + place) % len(every)] for place in (0, 1)})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the files whose tests are all slow where none of these is wanted: they import what no other does."""
    if config.option.markexpr == "not slow" and collection_path.match("test_*.py"):
        return ALL_SLOW.search(collection_path.read_text()) is not None or None
    return None


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(50_000)  # garbage of one file's tests is collected before the next file's begin
    gc.enable()


def pytest_unconfigure() -> None:
    gc.freeze()  # pytest looks for garbage five times as it ends


@pytest.fixture(autouse=True, scope="module")
def _only_own_garbage() -> None:
    """Let each file's tests collect only what they have made themselves, with the memory that others have left."""
    if gc.get_count()[0] > 30_000:  # objects that others have made and not given back
        gc.collect()
        gc.freeze()
        ctypes.CDLL(None).malloc_trim(0)
