"""Reads and writes the artifacts of a run where they are, even if the folder of a database was moved or copied.

MLflow records the place of a run's artifacts as an absolute path. If the store is a file, they are first looked for
next to that file, so that a results folder can be moved, copied, or mounted elsewhere. New ones go where the others
are: MLflow itself would make the old folder again, in which nobody looks first.
"""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlparse

from mlflow.entities import RunInfo
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from mixlab.errors import BadInput, root_cause
from mixlab.passwords import shown
from mixlab.spec import json_form
from mixlab.tracking import names
from mixlab.tracking.store import Answer, by_server, patiently, reading
from mixlab.tracking.stored_runs import StoredRun, experiment_named, search_runs
from mixlab.uris import sqlite_file

_locations: dict[tuple[str, str], str] = {}  # the URI of a run's artifacts, by the URI of the store and the run's id

# A progress bar for one small file would be drawn through the table that follows.
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


def fetch(client: MlflowClient, run_id: str, name: str, folder: Path) -> Path | None:
    """Return the file of an artifact such as ``plan.json``, where it lies or downloaded; None if the run has none.

    The ``folder`` for a download must exist.

    Raises:
        BadInput: the folder of the run's artifacts is not there.
        MlflowException: the store does not answer, or the storage of its artifacts.
    """
    ours = folder_of(client, run_id)
    if ours is None:
        if name not in listed(client, run_id):
            return None
        return Path(_ask_storage(client, run_id, lambda: client.download_artifacts(run_id, name, str(folder))))
    return ours / name if (ours / name).is_file() else None


def listed(client: MlflowClient, run_id: str) -> list[str]:
    """Return the names of a run's files, without folders; raise as ``fetch`` does."""
    ours = folder_of(client, run_id)
    if ours is not None:
        return sorted(path.name for path in ours.glob("*") if path.is_file())
    files = _ask_storage(client, run_id, lambda: client.list_artifacts(run_id))
    return [found.path for found in files if not found.is_dir]


def _ask_storage(client: MlflowClient, run_id: str, ask: Callable[[], Answer]) -> Answer:
    """Return what the storage of a run's artifacts answers, which is asked as ``patiently`` asks.

    Other packages' exceptions, such as botocore's of S3, or of a package that is not installed, become MLflow's.
    """
    try:
        return patiently(ask)
    except (MlflowException, OSError):
        raise
    except Exception as error:
        why = root_cause(error)
    place = shown(_location(client, run_id))
    raise MlflowException(f"the storage of its artifacts at {place!r} does not answer ({why})")


def put(client: MlflowClient, run_id: str, file: Path) -> None:
    """Add a file to the artifacts of a run, under its own name; it replaces a file of that name once it is whole."""
    try:
        ours = folder_of(client, run_id)
    except BadInput:  # nothing of the experiment has been written yet
        ours = None
    if ours is None:
        client.log_artifact(run_id, str(file))
        return
    ours.mkdir(parents=True, exist_ok=True)
    # Beside the artifacts, so that a killed driver leaves none there; another may put a file of the same name just now.
    whole = ours.parent / f".{file.name}.{secrets.token_hex(4)}.new"
    try:
        shutil.copyfile(file, whole)
        whole.replace(ours / file.name)
    finally:
        whole.unlink(missing_ok=True)


def put_text(client: MlflowClient, run_id: str, text: str, name: str) -> None:
    """Add a text file to the artifacts of a run, or replace it."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / name
        file.write_text(text, encoding="utf-8")
        put(client, run_id, file)


def folder_of(client: MlflowClient, run_id: str) -> Path | None:
    """Return the folder of a run's artifacts on this machine; None if a server or another storage has them.

    Raises:
        BadInput: the folder is not there.
        MlflowException: the store does not answer.
    """
    if by_server(client):
        return None
    written = local_folder(_location(client, run_id))
    return None if written is None else here(written, client.tracking_uri)


def remember(client: MlflowClient, created: RunInfo) -> None:
    """Keep where a run's artifacts are, which MLflow said when it created the run: it need not be asked again."""
    _locations[client.tracking_uri, created.run_id] = created.artifact_uri


def _location(client: MlflowClient, run_id: str) -> str:
    """Return the URI of a run's artifacts, which MLflow recorded as the run was created, and never changes."""
    if (client.tracking_uri, run_id) not in _locations:
        remember(client, patiently(lambda: client.get_run(run_id)).info)
    return _locations[client.tracking_uri, run_id]


def read(client: MlflowClient, run_id: str, name: str) -> bytes | None:
    """Return the content of an artifact; None if the run has none. It raises as ``fetch`` does."""
    with TemporaryDirectory() as folder:
        file = fetch(client, run_id, name, Path(folder))
        return None if file is None else file.read_bytes()


def read_json(
    client: MlflowClient, run_id: str, name: str, parse: Callable[[bytes], dict[str, Any]] = json_form.loads
) -> dict[str, Any] | None:
    """Return the mapping that a JSON artifact holds; ``BadInput`` if it is damaged. All else is as for ``read``."""
    content = read(client, run_id, name)
    try:
        return None if content is None else parse(content)
    except ValueError as error:
        raise BadInput(f"the artifact {name} of run {run_id} is damaged ({error})") from error


def read_plan(client: MlflowClient, run_id: str) -> dict[str, Any] | None:
    """Return the plan of a study's or a search's run, without what is null in it; raise as ``read_json`` does.

    Words stay words, also "NaN", which may be the name of an arm.
    """
    plan = read_json(client, run_id, names.PLAN_FILE, json.loads)
    return None if plan is None else {name: part for name, part in plan.items() if part is not None}


def plan_of(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """Return the plan of a study's run; an empty one where it is not there, or is damaged."""
    with contextlib.suppress(BadInput):
        return read_plan(client, run_id) or {}
    return {}


def plans(client: MlflowClient, study: str) -> list[tuple[StoredRun, dict[str, Any]]]:
    """Return the run of each plan of a study, and the plan; ``BadInput`` if the store does not answer."""
    if (experiment := experiment_named(client, study)) is None:
        return []
    with reading(client):
        runs = search_runs(client, experiment.experiment_id, {names.LEVEL: names.STUDY_LEVELS[0]}, params=False)
        return [(run, plan_of(client, run.run_id)) for run in runs]


def here(written: Path, tracking_uri: str) -> Path:
    """Return where the folder that MLflow recorded as ``written`` is now.

    A run without artifacts has no folder, but its experiment has one.

    Raises:
        BadInput: the experiment's folder is neither next to the database nor where it was written.
    """
    candidates = list(_candidates(written, tracking_uri))
    for exists in (Path.is_dir, lambda folder: folder.parents[1].is_dir()):
        for folder in filter(exists, candidates):
            return folder
    database = sqlite_file(tracking_uri)
    way_out = "put it back there"
    if database is not None:
        way_out = f"put the folder {written.parents[2].name!r} next to the database {str(database)!r}, or back there"
    raise BadInput(f"the artifacts are not in {str(written)!r}, where MLflow wrote them: {way_out}")


def moved(client: MlflowClient, run_id: str, file: Path) -> Path:
    """Return where a file is now that was in the folder of a database, if that was moved or copied with all in it."""
    written, now = local_folder(_location(client, run_id)), folder_of(client, run_id)
    if written is None or now is None or written == now:
        return file
    while written.name == now.name:
        written, now = written.parent, now.parent
    there = now / file.relative_to(written) if file.is_relative_to(written) else file
    return there if there.exists() else file


def local_folder(uri: str) -> Path | None:
    """Return the folder on this machine that a URI of MLflow names; None for any other URI."""
    parts = urlparse(uri)
    return Path(unquote(parts.path)) if parts.scheme in ("", "file") else None


def _candidates(written: Path, tracking_uri: str) -> Iterator[Path]:
    """Yield paths next to the database that end as ``written`` does, the longest ending first; then ``written``."""
    database = sqlite_file(tracking_uri)
    if database is not None:
        for first in range(1, len(written.parts) - 2):  # EXPERIMENT/RUN/artifacts is always part of it
            yield database.absolute().parent.joinpath(*written.parts[first:])
    yield written
