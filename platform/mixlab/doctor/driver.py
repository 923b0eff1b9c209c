"""Examines the parts that only the driver's machine has: temporary folder, terminal, and the repository of the code."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import mixlab
from mixlab.cluster import ray_private
from mixlab.doctor.checks import OK, RED, WARNING, Finding
from mixlab.doctor.database import check_results, check_store
from mixlab.doctor.facts import Question
from mixlab.provenance import environment_of_git

# A UNIX socket's path has at most 107 bytes, and Ray adds this to the temporary folder.
SOCKET_BYTES = 107
RAY_ADDS = len("/ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store")
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
    longest = SOCKET_BYTES - RAY_ADDS
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
