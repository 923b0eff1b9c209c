"""What stands in for Ray Tune in the process of a trial."""

import gc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mixlab.cluster import worker
from mixlab.storage.journal import read_epochs


@pytest.fixture
def thresholds(monkeypatch) -> list[int]:
    """Return the thresholds that a trial sets for Python's garbage, and keep this process's own."""
    found: list[int] = []
    monkeypatch.setattr(gc, "set_threshold", found.append)
    return found


@pytest.fixture
def ray_tune(monkeypatch, thresholds) -> Any:
    """Return what stands in for Ray Tune: it gives one processor and no checkpoint.

    It notes what is reported, and of each epoch the names of its checkpoint's files.
    """
    fake = SimpleNamespace(given={"CPU": 1}, reported=[], saved=[])

    def report(metrics: dict[str, Any], checkpoint: Path | None = None) -> None:
        assert checkpoint is None or read_epochs(checkpoint)[-1] == metrics["epoch"]
        fake.reported.append(metrics)
        fake.saved.append(sorted(path.name for path in checkpoint.iterdir()) if checkpoint else [])

    resources = SimpleNamespace(required_resources=fake.given)
    fake.report = report
    fake.get_context = lambda: SimpleNamespace(get_trial_resources=lambda: resources)
    fake.get_checkpoint = lambda: None
    fake.Checkpoint = SimpleNamespace(from_directory=Path)
    monkeypatch.setattr(worker, "tune", fake)
    return fake
