"""Connecting to Ray says one sentence if Ray does not start, or nobody answers."""

from typing import Any

import pytest
import ray

from mixlab.cluster import connect
from mixlab.errors import BadInput, HeadLost


@pytest.mark.parametrize(
    "error",
    [
        Exception("The current node timed out during startup.\nThis could happen because ..."),  # a killed raylet
        RuntimeError("Timed out waiting for file gcs_server_port"),  # a killed GCS
        ConnectionError("Could not read 'session_name' from GCS"),
    ],
)
def test_what_kills_ray_while_it_starts_is_a_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(HeadLost, match="Ray did not start") as caught, connect.connected("local"):
        raise AssertionError
    assert "session_latest/logs" in str(caught.value)
    assert "\n" not in str(caught.value)
    monkeypatch.setattr(connect, "_require_answer", lambda address: None)
    with pytest.raises(BadInput, match="no Ray cluster at --address 'head:6379'"), connect.connected("head:6379"):
        raise AssertionError


def test_a_worker_has_one_arena_for_the_threads_of_all_its_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with an arena for each thread grew by 20 to 60 MiB a trial."""
    given: dict[str, Any] = {}

    def init(**options: Any) -> None:
        given.update(options)
        raise RuntimeError("enough")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(HeadLost), connect.connected("local"):
        raise AssertionError
    assert given["runtime_env"]["env_vars"]["MALLOC_ARENA_MAX"] == "1"
