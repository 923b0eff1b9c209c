"""The thread that writes to MLflow, without MLflow."""

import pytest

from mixlab.tracking import writer
from mixlab.tracking.writer import Writer
from tests.waiting import wait_for


def test_a_write_is_repeated_through_an_outage_but_not_once_it_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.001)
    away = True
    tried, later = [], []

    def write() -> None:
        tried.append(0)
        if away:
            raise ConnectionRefusedError

    ours = Writer()
    ours.put(write)
    wait_for(lambda: len(tried) > 2)
    away = False
    assert ours.drain(10)
    away = True
    ours.put(write)
    ours.put(lambda: later.append(0))
    wait_for(lambda: ours.outage)
    ours.abandon()
    away = False
    assert ours.drain(10)
    assert not later
