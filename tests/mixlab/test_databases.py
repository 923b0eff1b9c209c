"""Starts that make the tables of one new database together."""

from contextlib import nullcontext
from unittest.mock import Mock

import pytest
from sqlalchemy.exc import IntegrityError, ProgrammingError

from mixlab import databases


@pytest.mark.parametrize("refusals", [0, 5, 6])
@pytest.mark.parametrize("refusal", [IntegrityError, ProgrammingError])
def test_starts_that_find_an_empty_database_together_try_six_times(monkeypatch, refusal, refusals):
    """Only one of them can make the tables; the others find them a second later."""
    monkeypatch.setattr(databases.time, "sleep", lambda seconds: None)
    refused = refusal("CREATE TABLE", {}, Exception("it exists"))
    open_database = Mock(side_effect=[*[refused] * refusals, "made"])
    with pytest.raises(refusal) if refusals == 6 else nullcontext():
        assert databases.with_tables(open_database) == "made"
    assert open_database.call_count == min(refusals + 1, 6)
