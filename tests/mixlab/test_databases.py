"""Starts that make the tables of one new database together, and a server that is away."""

import sqlite3
from contextlib import nullcontext
from unittest.mock import Mock

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError

from mixlab import databases


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch) -> None:
    monkeypatch.setattr(databases.time, "sleep", lambda seconds: None)


@pytest.mark.parametrize("refusals", [0, 5, 6])
@pytest.mark.parametrize("refusal", [IntegrityError, ProgrammingError])
def test_starts_that_find_an_empty_database_together_try_six_times(refusal, refusals):
    """Only one of them can make the tables; the others find them a second later."""
    refused = refusal("CREATE TABLE", {}, Exception("it exists"))
    open_database = Mock(side_effect=[*[refused] * refusals, "made"])
    with pytest.raises(refusal) if refusals == 6 else nullcontext():
        assert databases.with_tables(open_database) == "made"
    assert open_database.call_count == min(refusals + 1, 6)


def test_a_server_that_is_away_is_waited_for_and_said_to_be_once(monkeypatch, capsys):
    """A search goes on when its database has been restarted."""
    engine = create_engine("sqlite://")
    databases.wait_for_server(engine)
    away = sqlite3.OperationalError("Connection refused")
    connect = Mock(side_effect=[away, away, sqlite3.connect(":memory:"), away, away])
    monkeypatch.setattr(engine.dialect, "connect", connect)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar() == 1
    assert capsys.readouterr().err == "The database at sqlite:// does not answer; waiting for it\n"
    engine.dispose()
    monkeypatch.setattr(databases, "AWAY_SECONDS", -1.0)
    for _ in range(2):
        with pytest.raises(OperationalError, match="Connection refused"):
            engine.connect()
