"""A search whose database drops connections: it is the search that it would have been."""

import random
import time
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from mixlab import Arm, Choice
from mixlab.search import server_storage
from mixlab.search.history import History
from mixlab.spec.search import SearchTrial
from tests.mixlab.search_toy import TRAIN, run, search, states, store_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("answered", [False, True], ids=["a statement", "the answer to a commit"])
def test_a_search_is_as_it_would_have_been_though_connections_are_lost_within_transactions(
    answered, tmp_path, new_database, monkeypatch
):
    arms, space = (Arm("low", {"arm": "low"}),), {"zeta": Choice(0.1, 0.2, 0.3, 0.4)}
    spec = search(arms=arms, base={"epochs": 3, "alpha": 1.0}, space=space, budget=12, sampler="random")
    url = new_database()
    undisturbed, history = (History(spec, TRAIN, store_of(kind, tmp_path)) for kind in ("journal", url))
    run(undisturbed, at_a_time=2)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    engine, admin = history.store.storage._database.engine, create_engine(url)
    chance, lost = random.Random(0), list[int]()

    def lose(connection: Any) -> bool:
        """End a connection at the server, once in a while."""
        ends = len(lost) < 15 and chance.random() < (0.3 if answered else 0.01)
        if ends:
            lost.append(connection.dbapi_connection.info.backend_pid)
            with admin.begin() as other:
                other.execute(text(f"SELECT pg_terminate_backend({lost[-1]}, 5000)"))
        return ends

    if answered:
        commit = engine.dialect.do_commit

        def do_commit(connection: Any) -> None:
            commit(connection)
            if lose(connection):
                connection.cursor().execute("SELECT 1")  # fails

        monkeypatch.setattr(engine.dialect, "do_commit", do_commit)
    else:
        event.listen(engine, "before_cursor_execute", lambda connection, *_: lose(connection.connection))
    run(history, at_a_time=2)
    assert len(lost) > 5
    found, expected = (
        [(each.params, each.state, each.value, each.user_attrs, each.intermediate_values) for each in of.trials("low")]
        for of in (history, undisturbed)
    )
    assert found == expected


def test_a_trial_whose_release_got_no_answer_is_left_to_who_claims_it_next(tmp_path, new_database, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    spec, url = search(arms=(Arm("low", {"arm": "low"}),), scheduler="none"), new_database()
    first, second = (History(spec, TRAIN, store_of(url, tmp_path)) for _ in "12")
    second.drivers.me = "node7#1@2"
    claim, engine = first.claim(), first.store.storage._database.engine
    commit, taken = engine.dialect.do_commit, list[SearchTrial]()

    def do_commit(connection: Any) -> None:
        commit(connection)
        if not taken and states(second, "low") == ["WAITING"]:
            with monkeypatch.context() as elsewhere:
                elsewhere.setattr(server_storage, "this_process", lambda: second.drivers.me)
                taken.append(second.claim().trial)
            with create_engine(url).begin() as admin:
                admin.execute(
                    text(f"SELECT pg_terminate_backend({connection.dbapi_connection.info.backend_pid}, 5000)")
                )
            connection.cursor().execute("SELECT 1")  # fails

    monkeypatch.setattr(engine.dialect, "do_commit", do_commit)
    first.release([claim])
    assert (taken, states(second, "low")) == ([claim.trial], ["RUNNING"])
