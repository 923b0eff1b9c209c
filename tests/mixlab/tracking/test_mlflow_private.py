"""The private parts of MLflow that ``mixlab.tracking.mlflow_private`` touches are as they were."""

from pathlib import Path

import mlflow
import pytest
from sqlalchemy import Connection, Engine, event

from mixlab.tracking import store
from mixlab.tracking.mlflow_private import make_database
from tests.libraries import forgo_durability
from tests.pins import pinned

PIN = pinned("mlflow")


@pytest.mark.slow
def test_a_database_is_made_without_a_wait_for_the_disk_and_then_kept_on_it(tmp_path: Path) -> None:
    """MLflow waited a thousand times, which took seconds."""
    waits: list[int] = []

    def note(used: Connection) -> None:
        waits.append(used.exec_driver_sql("PRAGMA synchronous").scalar())

    event.remove(Engine, "connect", forgo_durability)
    event.listen(Engine, "commit", note)
    try:
        make_database(uri := f"sqlite:///{tmp_path}/new.db")
        assert set(waits) == {0}
        waits.clear()
        store.connect(uri).create_experiment("study")
    finally:
        event.remove(Engine, "commit", note)
        event.listen(Engine, "connect", forgo_durability)
    assert set(waits) == {2}, f"mlflow {PIN} keeps its connections elsewhere in {mlflow.__version__}"
