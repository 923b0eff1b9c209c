"""Examines what only the driver's machine has: temporary folder, terminal, the code's repository, store and results."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import mixlab
from mixlab.cluster import ray_private
from mixlab.doctor.checks import OK, RED, WARNING, Finding
from mixlab.doctor.facts import Question
from mixlab.errors import BadInput, first_line
from mixlab.provenance import environment_of_git, installed_commit
from mixlab.storage.probe import probe
from mixlab.tracking import names
from mixlab.uris import existing_part, require_writable, shown, sqlite_file

LOCK_SECONDS = 2.0  # a writer holds a database for milliseconds
LETTERS = "·±→≤×…"  # the letters in progress lines and tables


def examine_driver(asked: Question) -> list[Finding]:
    """Return one finding from each check."""
    return [
        check_temporary(ray_private.usual_folder()),
        check_output(sys.stdout),
        check_git(Path(mixlab.__file__)),
        check_store(asked.tracking_uri),
        *check_results(asked),
    ]


def check_temporary(folder: str) -> Finding:
    """Warn if Ray's sockets do not fit below the temporary folder; a study puts them under /tmp if it can."""
    longest = ray_private.SHORT
    if folder.isascii() and len(folder) <= longest:
        return Finding("temporary", OK, f"{folder} is short enough for Ray's sockets")
    why = f"{len(folder)} letters, and Ray's sockets leave room for {longest}"
    text = f"the temporary folder {folder!r} has {why if folder.isascii() else 'letters that are not ASCII'}"
    level, way = (WARNING, ": they go to /tmp") if os.access("/tmp", os.W_OK) else (RED, "")
    return Finding("temporary", level, text + way, "export RAY_TMPDIR, a short folder")


def check_output(stream: TextIO) -> Finding:
    """Warn if the terminal cannot show every letter of a table."""
    encoding = stream.encoding or "ascii"
    try:
        LETTERS.encode(encoding)
    except UnicodeEncodeError:
        return Finding("output", WARNING, f"{encoding} cannot show {LETTERS}", "export PYTHONIOENCODING=utf-8")
    return Finding("output", OK, f"{encoding} shows every letter")


def check_git(code: Path) -> Finding:
    """Warn if the commit of the code that runs cannot be recorded; ``code`` is one of its files.

    The folder that the command is started in does not matter: a study records the repository of its code.
    """
    if os.environ.get("MIXLAB_COMMIT"):
        return Finding("commit", OK, f"the image names {os.environ['MIXLAB_COMMIT'][:12]}")
    if commit := installed_commit(code):
        return Finding("commit", OK, f"pip has installed {commit[:12]}")
    folder = code.parent
    environment = {**environment_of_git(), "LC_ALL": "C"}

    def ask(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=environment)

    try:
        done = ask("rev-parse", "HEAD")
    except OSError:
        return Finding("commit", WARNING, "git is missing, so that runs name no commit", "install git")
    if "dubious ownership" in done.stderr:
        text = f"git does not trust {folder}, which belongs to another user, so that runs name no commit"
        # Its root is found without git, which does not trust it.
        root = next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
        return Finding("commit", WARNING, text, f"git config --global --add safe.directory {root}")
    clone = "run from a clone of the repository: pip install -e CLONE"
    if done.returncode:
        return Finding("commit", WARNING, f"{folder} is in no repository with a commit, so that runs name none", clone)
    if ask("check-ignore", "--quiet", str(code)).returncode == 0:
        text = f"{folder} lies in a repository that ignores it, as a virtual environment's, so that runs name no commit"
        return Finding("commit", WARNING, text, clone)
    changed = ", with changes that are not committed: a study keeps the patch" if ask("diff", "HEAD").stdout else ""
    return Finding("commit", OK, f"git names {done.stdout[:12]} for {folder}{changed}")


def check_store(tracking_uri: str) -> Finding:
    """Return a red finding if a file is not an MLflow database, is closed or locked, or has no folder for artifacts.

    A server is asked for an answer, by the driver alone: no node writes to it.
    """
    file = sqlite_file(tracking_uri)
    return _check_server(tracking_uri) if file is None else _check_database(file, tracking_uri)


def _check_server(tracking_uri: str) -> Finding:
    from mixlab.tracking import store  # it imports MLflow, which takes seconds

    try:
        store.connect(tracking_uri)
    except BadInput as error:
        text, _, way = str(error).rpartition("; ")
        if "Invalid Host header" in text:
            way = f"start the server with --allowed-hosts {urlsplit(tracking_uri).netloc.rpartition('@')[2]}"
        return Finding("store", RED, text, way)
    return Finding("store", OK, f"{shown(tracking_uri)} answers")


def _check_database(file: Path, tracking_uri: str) -> Finding:
    other = f"name another file with --tracking-uri; {str(file)!r} is left as it is"
    artifacts = file.absolute().parent / "mlruns"
    unwritable, _ = probe(str(existing_part(artifacts)))  # the probe leaves nothing there
    if unwritable:
        text = f"the artifacts' folder {str(artifacts)!r} cannot be written: {unwritable}"
        return Finding("store", RED, text, "give that user write access, or name another file with --tracking-uri")
    try:
        require_writable(file, "--tracking-uri")
    except BadInput as error:
        text, _, way = str(error).rpartition("; ")
        return Finding("store", RED, text, way)
    if not file.exists():
        return Finding("store", OK, f"{str(file)!r} will be made by the first study")
    if file.stat().st_size == 0:
        fix = "remove it if no study is about to fill it"
        return Finding("store", WARNING, f"{str(file)!r} is empty, as after an interrupted start", fix)
    try:
        tables = _tables(file)
    except sqlite3.OperationalError as error:
        if "locked" not in str(error):
            return Finding("store", RED, f"{str(file)!r} cannot be used: {first_line(error)}", other)
        fix = "end the program that holds it; on a network file system, run an MLflow server instead"
        return Finding("store", RED, f"{str(file)!r} is locked by another program", fix)
    except sqlite3.DatabaseError:
        return Finding("store", RED, f"{str(file)!r} is not an SQLite database", other)
    if tables and not {"experiments", "runs"} <= tables:
        few = ", ".join(sorted(tables)[:3])
        return Finding("store", RED, f"{str(file)!r} is a database of something else, with tables {few}", other)
    if tables:
        from mixlab.tracking import store

        try:
            store.connect(tracking_uri, make=False)
        except BadInput as error:
            text = f"{str(file)!r} is of another version of MLflow: {first_line(error)}"
            way = f"copy the file, then run `mlflow db upgrade {tracking_uri}`"
            return Finding("store", RED, text, f"{way} with the version of MLflow that is installed")
    return Finding("store", OK, f"{str(file)!r} is an MLflow database, and can be written")


def _tables(file: Path) -> set[str]:
    """Return the names of a database's tables, if nobody else writes to it."""
    with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_SECONDS)) as database:
        database.execute("BEGIN IMMEDIATE")
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        database.rollback()
    return {str(name) for (name,) in rows}


def check_results(asked: Question) -> list[Finding]:
    """Return findings on a database, or a folder of results, that was moved without the other."""
    file = sqlite_file(asked.tracking_uri)
    if file is None or not file.is_file() or check_store(asked.tracking_uri).level != OK:
        return []
    from mixlab.tracking import artifacts, store  # they import MLflow, which takes seconds

    client, faults = store.connect(asked.tracking_uri, make=False), []
    for experiment in client.search_experiments(order_by=["name"]):
        found = store.search_runs(client, experiment.experiment_id, {}, params=False)
        runs = [run for run in found if names.LEVEL in run.tags]  # somebody else's may have no artifacts
        written = artifacts.local_folder(experiment.artifact_location)
        if runs and written is not None and not written.is_dir():
            try:
                artifacts.here(written / "RUN" / "artifacts", asked.tracking_uri)
            except BadInput as error:
                what, _, fix = str(error).rpartition(": ")
                faults.append(Finding("results", RED, f"of the study {experiment.name!r} {what}", fix))
        begun = {run.tags[names.LEVEL] for run in runs if run.status in ("RUNNING", "KILLED")}
        folder = Path(asked.storage) / experiment.name / "trials"
        if names.STUDY_LEVELS[2] in begun and "://" not in asked.storage and not folder.is_dir():
            lost = f"{asked.storage!r} has no checkpoint of it: they would start anew"
            text = f"trials of {experiment.name!r} were begun, but {lost}"
            fix = "give --storage the folder to which its results were moved"
            faults.append(Finding("results", WARNING, text, fix))
    return faults or [Finding("results", OK, f"all that {str(file)!r} names is where it was written")]
