"""An error of an evaluation's task on another machine reaches the driver; tried without Ray."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray.exceptions import RayTaskError, WorkerCrashedError

from analysis.networks.ray_tasks import in_ray
from mixlab.cluster import connect


def answers(error: Exception, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Return what an evaluation of two values yields if the task of the first ends by ``error``."""

    @contextlib.contextmanager
    def connected(*_: object) -> Iterator[dict[str, float]]:
        yield {"CPU": 1.0}

    def get(tasks: list[int]) -> list[str]:
        if tasks == [0]:
            raise error
        return ["measured"]

    numbers = iter(range(2))
    monkeypatch.setattr(connect, "connected", connected)
    monkeypatch.setattr(ray, "remote", lambda **_: lambda _: SimpleNamespace(remote=lambda *_: next(numbers)))
    monkeypatch.setattr(ray, "wait", lambda tasks, num_returns, **_: (tasks[:1], tasks[1:]))
    monkeypatch.setattr(ray, "get", get)
    return list(in_ray([("first", 1), ("second", 2)], "head:6379", print))


@pytest.mark.parametrize("cause", [ValueError("images must be positive"), OSError(2, "no data set", "/data")])
def test_what_is_wrong_for_every_network_is_raised_as_here(monkeypatch, cause):
    error = RayTaskError("task", "Ray's own lines", cause).as_instanceof_cause()
    with pytest.raises(type(cause)) as caught:
        answers(error, monkeypatch)
    assert caught.value is cause


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RayTaskError("task", "", ModuleNotFoundError("No module named 'timm'")), "ModuleNotFoundError: No module"),
        (RayTaskError("task", "", RuntimeError("CUDA error\nand more")), "its task failed: RuntimeError: CUDA error"),
        (WorkerCrashedError(), "its task was lost: The worker died unexpectedly"),
    ],
)
def test_what_concerns_one_task_is_a_sentence_and_the_rest_goes_on(monkeypatch, error, sentence):
    (name, said), rest = answers(error, monkeypatch)
    assert name == "first"
    assert sentence in said
    assert "\n" not in said
    assert rest == ("second", "measured")
