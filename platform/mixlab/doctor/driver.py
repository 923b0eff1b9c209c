"""Examines what only the driver's machine has: temporary folder, terminal, the code's repository, store and results."""

import os
import sys
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit

import mixlab
from mixlab import provenance
from mixlab.cluster import ray_private
from mixlab.doctor.checks import OK, RED, WARNING, Finding
from mixlab.doctor.facts import Question
from mixlab.errors import BadInput
from mixlab.passwords import shown
from mixlab.storage.probe import probe
from mixlab.tracking import names
from mixlab.tracking.stored_runs import search_runs
from mixlab.uris import existing_part, require_writable, sqlite_file

LETTERS = "·±→≤×…"  # the letters in progress lines and tables


def examine_driver(asked: Question) -> list[Finding]:
    """Return one finding from each check."""
    return [
        check_temporary(ray_private.usual_folder()),
        check_output(sys.stdout),
        check_git(Path(mixlab.__file__)),
        store := check_store(asked.tracking_uri),
        *(check_results(asked) if store.level == OK else ()),
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
    found = provenance.collect(code)
    if found.commit == "unknown":
        fix = "install git; run from a clone; if that is another user's, git config --global --add safe.directory CLONE"
        return Finding("commit", WARNING, f"runs name no commit: git shows none for {code.parent}", fix)
    changed = ", with changes that are not committed: a study keeps the patch" if found.dirty else ""
    return Finding("commit", OK, f"runs name {found.commit[:12]}{changed}")


def check_store(tracking_uri: str) -> Finding:
    """Return a red finding if a study could not open the store, or write its artifacts.

    A server is asked for an answer, by the driver alone: no node writes to it.
    """
    from mixlab.tracking import store  # it imports MLflow, which takes seconds

    file = sqlite_file(tracking_uri)
    try:
        if file is not None:
            require_writable(file, "--tracking-uri")
            artifacts = file.absolute().parent / "mlruns"
            if unwritable := probe(str(existing_part(artifacts)))[0]:  # the probe leaves nothing there
                raise BadInput(
                    f"the artifacts' folder {str(artifacts)!r} cannot be written ({unwritable}); "
                    "give that user write access, or name another file with --tracking-uri"
                )
            if not file.exists() or not file.stat().st_size:
                return Finding("store", OK, f"{str(file)!r} will be made by the first study")
        store.connect(tracking_uri, make=False)
    except BadInput as error:
        text, _, way = str(error).rpartition("; ")
        if "Invalid Host header" in text:
            way = f"start the server with --allowed-hosts {urlsplit(tracking_uri).netloc.rpartition('@')[2]}"
        return Finding("store", RED, text, way)
    return Finding("store", OK, f"{shown(tracking_uri)} answers{' and can be written' if file is not None else ''}")


def check_results(asked: Question) -> list[Finding]:
    """Return findings on a database that can be opened, or a folder of results, that was moved without the other."""
    file = sqlite_file(asked.tracking_uri)
    if file is None or not file.is_file():
        return []
    from mixlab.tracking import artifacts, store  # they import MLflow, which takes seconds

    client, faults = store.connect(asked.tracking_uri, make=False), []
    for experiment in client.search_experiments(order_by=["name"]):
        found = search_runs(client, experiment.experiment_id, {}, params=False)
        runs = [run for run in found if names.LEVEL in run.tags]  # somebody else's may have no artifacts
        written = artifacts.local_folder(experiment.artifact_location)
        if runs and written is not None and not written.is_dir():
            try:
                artifacts.here(written / "RUN" / "artifacts", asked.tracking_uri)
            except BadInput as error:
                what, _, fix = str(error).rpartition(": ")
                faults.append(Finding("results", RED, f"of the study {experiment.name!r} {what}", fix))
        begun = {run.tags[names.LEVEL] for run in runs if not run.state.over}
        folder = Path(asked.storage) / experiment.name / "trials"
        if names.STUDY_LEVELS[2] in begun and "://" not in asked.storage and not folder.is_dir():
            lost = f"{asked.storage!r} has no checkpoint of it: they would start anew"
            text = f"trials of {experiment.name!r} were begun, but {lost}"
            fix = "give --storage the folder to which its results were moved"
            faults.append(Finding("results", WARNING, text, fix))
    return faults or [Finding("results", OK, f"every folder that {str(file)!r} names is there")]
