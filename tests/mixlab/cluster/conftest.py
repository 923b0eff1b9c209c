"""What stands in for Ray Tune in the process of a trial."""

import gc
from types import SimpleNamespace
from typing import Any

import pytest

from mixlab.cluster import worker


@pytest.fixture
def thresholds(monkeypatch) -> list[int]:
    """Return the thresholds that a trial sets for Python's garbage, and keep this process's own."""
    found: list[int] = []
    monkeypatch.setattr(gc, "set_threshold", found.append)
    return found


@pytest.fixture
def ray_tune(monkeypatch, thresholds) -> Any:
    """Return what stands in for Ray Tune: it gives one processor and no checkpoint, and notes what is reported."""
    resources = SimpleNamespace(required_resources={"CPU": 1})
    context = SimpleNamespace(get_trial_resources=lambda: resources)
    reported: list[dict[str, Any]] = []
    fake = SimpleNamespace(
        given=resources.required_resources,
        reported=reported,
        get_context=lambda: context,
        get_checkpoint=lambda: None,
        report=lambda report, **_: reported.append(report),
        Checkpoint=SimpleNamespace(from_directory=str),
    )
    monkeypatch.setattr(worker, "tune", fake)
    return fake
