"""Records a machine's load while a trial runs, by MLflow's own monitors, for the tab "System metrics" of its pages.

MLflow would write these from a thread of the trial's process; here they travel with the epochs, as every number does.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from mixlab.processes import repeated

SAMPLE_SECONDS = 5.0
PREFIX = "system/"  # MLflow's pages know system metrics by it


class Usage:
    """The mean of each number since the last epoch. Made by ``watched``."""

    def __init__(self) -> None:
        from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
        from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
        from mlflow.system_metrics.metrics.gpu_monitor import GPUMonitor
        from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

        self._lock = threading.Lock()
        self._monitors: list[Any] = [CPUMonitor(), DiskMonitor(), NetworkMonitor()]
        with contextlib.suppress(Exception):  # no GPU, or no package that reads one
            self._monitors.append(GPUMonitor())

    def sample(self) -> None:
        """Look once."""
        with self._lock:
            for monitor in self._monitors:
                monitor.collect_metrics()

    def taken(self) -> dict[str, float]:
        """Return the numbers since the last call, by MLflow's names; look once more first."""
        self.sample()
        with self._lock:
            found = {name: value for each in self._monitors for name, value in each.aggregate_metrics().items()}
            for monitor in self._monitors:
                monitor.clear_metrics()
        return {PREFIX + name: float(value) for name, value in found.items()}


@contextlib.contextmanager
def watched() -> Iterator[Usage]:
    """Yield the usage of this machine, which a thread samples inside the block."""
    usage = Usage()
    with repeated(usage.sample, SAMPLE_SECONDS, "usage"):
        yield usage
