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
    resources = SimpleNamespace(required_resources={"CPU": 1})
    reported: list[dict[str, Any]] = []
    saved: list[list[str]] = []

    def report(metrics: dict[str, Any], checkpoint: Path | None = None) -> None:
        if checkpoint:
            assert read_epochs(checkpoint)[-1] == metrics["epoch"]
        reported.append(metrics)
        saved.append(sorted(path.name for path in checkpoint.iterdir()) if checkpoint else [])

    fake = SimpleNamespace(
        given=resources.required_resources,
        reported=reported,
        saved=saved,
        get_context=lambda: SimpleNamespace(get_trial_resources=lambda: resources),
        get_checkpoint=lambda: None,
        report=report,
        Checkpoint=SimpleNamespace(from_directory=Path),
    )
    monkeypatch.setattr(worker, "tune", fake)
    return fake
