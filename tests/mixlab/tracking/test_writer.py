"""The thread that writes to MLflow, without MLflow."""

import sqlite3

import pytest
from sqlalchemy.exc import OperationalError

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
    ours.abandoned = True
    away = False
    assert ours.drain(10)
    assert not later


def test_an_outage_is_named_by_what_caused_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first line that SQLAlchemy wrote of a full disk was an advice on its sessions."""
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.001)

    def write() -> None:
        cause = sqlite3.OperationalError("database or disk is full")
        raise OperationalError("(raised as a result of Query-invoked autoflush)\nINSERT", {}, cause) from cause

    ours = Writer()
    ours.put(write)
    wait_for(lambda: ours.outage)
    ours.abandoned = True
    assert (ours.outage, ours.full) == ("database or disk is full", True)
