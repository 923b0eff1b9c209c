"""Examines the parts that only the driver's machine has: temporary folder, terminal, repository, store in a file."""

import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from mixlab.doctor.checks import OK, RED, WARNING, Finding
from mixlab.doctor.facts import Question
from mixlab.errors import first_line
from mixlab.storage.probe import probe
from mixlab.uris import shown, sqlite_file

# A UNIX socket's path has at most 107 bytes, and Ray adds this to the temporary folder.
SOCKET_BYTES = 107
RAY_ADDS = len("/ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")
LETTERS = "·±→≤×…"  # the letters in progress lines and tables
LOCK_SECONDS = 2.0  # a writer holds a database for milliseconds


def examine_driver(asked: Question) -> list[Finding]:
    """Return one finding from each check."""
    checks: tuple[Callable[[], Finding], ...] = (
        lambda: check_temporary(tempfile.gettempdir()),
        lambda: check_output(sys.stdout),
        lambda: check_git(Path.cwd()),
        lambda: check_store(asked.tracking_uri),
    )
    return [check() for check in checks]


def check_temporary(folder: str) -> Finding:
    """Warn if Ray's sockets do not fit below the temporary folder; a study puts them under /tmp if it can."""
    longest = SOCKET_BYTES - RAY_ADDS
    if folder.isascii() and len(folder) <= longest:
        return Finding("temporary", OK, f"{folder} is short enough for Ray's sockets")
    text = f"TMPDIR={folder!r} has letters that are not ASCII"
    if folder.isascii():
        text = f"TMPDIR={folder!r} has {len(folder)} letters, and Ray's sockets leave room for {longest}"
    if os.access("/tmp", os.W_OK):
        return Finding("temporary", WARNING, f"{text}: they go to /tmp", "export RAY_TMPDIR, a short folder")
    return Finding("temporary", RED, text, "export RAY_TMPDIR, a short folder")


def check_output(stream: TextIO) -> Finding:
    """Warn if the terminal cannot show every letter of a table."""
    encoding = stream.encoding or "ascii"
    try:
        LETTERS.encode(encoding)
    except UnicodeEncodeError:
        return Finding("output", WARNING, f"{encoding} cannot show {LETTERS}", "export PYTHONIOENCODING=utf-8")
    return Finding("output", OK, f"{encoding} shows every letter")


def check_git(folder: Path) -> Finding:
    """Warn if the commit that runs come from cannot be recorded."""
    if os.environ.get("MIXLAB_COMMIT"):
        return Finding("commit", OK, f"the image names {os.environ['MIXLAB_COMMIT'][:12]}")
    command = ["git", "-C", str(folder), "rev-parse", "HEAD"]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=environment)
    except OSError:
        return Finding("commit", WARNING, "git is missing, so that runs name no commit", "install git")
    if done.returncode == 0:
        return Finding("commit", OK, f"git names {done.stdout[:12]}")
    if "dubious ownership" in done.stderr:
        text = f"git does not trust {folder}, which belongs to another user, so that runs name no commit"
        return Finding("commit", WARNING, text, f"git config --global --add safe.directory {folder}")
    text = f"{folder} is in no repository with a commit, so that runs name none"
    return Finding("commit", WARNING, text, "start the study from a clone of its repository")


def check_store(tracking_uri: str) -> Finding:
    """Return a red finding if a file is not an MLflow database, is locked, or has no folder for artifacts."""
    file = sqlite_file(tracking_uri)
    if file is None:
        return Finding("store", OK, f"{shown(tracking_uri)} is no file")
    other = f"name another file with --tracking-uri; {str(file)!r} is left as it is"
    artifacts = file.absolute().parent / "mlruns"
    unwritable = _unwritable(artifacts)
    if unwritable:
        text = f"the artifacts' folder {str(artifacts)!r} cannot be written: {unwritable}"
        return Finding("store", RED, text, "give that user write access, or name another file with --tracking-uri")
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
        return Finding("store", RED, f"{str(file)!r} is no SQLite database", other)
    if tables and not {"experiments", "runs"} <= tables:
        few = ", ".join(sorted(tables)[:3])
        return Finding("store", RED, f"{str(file)!r} is a database of something else, with tables {few}", other)
    version = _other_version(tracking_uri) if tables else ""
    if version:
        fix = f"copy the file, then run `mlflow db upgrade {tracking_uri}` with the version of MLflow that is installed"
        return Finding("store", RED, f"{str(file)!r} is of another version of MLflow: {version}", fix)
    return Finding("store", OK, f"{str(file)!r} is an MLflow database, and can be written")


def _unwritable(folder: Path) -> str:
    """Return why a folder cannot be written; leave nothing in it."""
    nearest = next(each for each in (folder, *folder.parents) if each.exists())
    return probe(str(nearest))[0]


def _tables(file: Path) -> set[str]:
    """Return the names of a database's tables after a successful write to it."""
    database = sqlite3.connect(f"file:{file.absolute()}?mode=rw", uri=True, timeout=LOCK_SECONDS)
    try:
        database.execute("BEGIN IMMEDIATE")
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        database.rollback()
    finally:
        database.close()
    return {str(name) for (name,) in rows}


def _other_version(tracking_uri: str) -> str:
    """Return MLflow's objection to a database of its own; importing MLflow takes seconds."""
    from mixlab.errors import BadInput
    from mixlab.tracking import store

    try:
        store.connect(tracking_uri, make=False)
    except BadInput as error:
        return first_line(error)
    return ""
