"""Opens the store of a search's trials, and the lock under which drivers claim them; reads what is in it."""

import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import filelock
import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mixlab import passwords, uris
from mixlab.databases import wait_for_server, with_tables
from mixlab.errors import BadInput, first_line, root_cause
from mixlab.search.server_storage import ServerStorage
from mixlab.spec import space
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import ANSWER, INSTEAD, Search
from mixlab.spec.study import Cell
from mixlab.spec.trial import State

OUTCOMES = {TrialState.COMPLETE: State.DONE, TrialState.PRUNED: State.PRUNED, TrialState.FAIL: State.FAILED}
STATES = {state: outcome for outcome, state in OUTCOMES.items()}
WORDS = {**OUTCOMES, TrialState.RUNNING: State.RUNNING, TrialState.WAITING: State.INTERRUPTED}
JOURNAL = "journal:///"
BEGINNING = b'{"op_code":'  # how a journal file begins
WAIT_SECONDS = 60  # the wait for another driver's claim or write

Result = TypeVar("Result")


class TrialStore:
    """A journal file, an SQLite file or a database server.

    Args:
        url: a path or ``journal:///PATH`` for a journal file, ``sqlite:///PATH``, or any other URL of SQLAlchemy, such
            as ``postgresql+psycopg2://USER:PASSWORD@HOST/DATABASE``.
        search: the name of the search; its trials are claimed under ``lock``.
        reading: whether nothing is written.

    Raises:
        BadInput: the store cannot be opened.
    """

    def __init__(self, url: str, search: str, *, reading: bool = False) -> None:
        self.url = absolute(url)
        self._search = search
        self.file = file_of(url)  # None for a server
        if self.file is None and url.startswith("sqlite"):
            raise BadInput(f"--optuna-storage {url!r} names no file; give sqlite:///FILE")
        if self.file is not None and not reading:
            uris.require_writable(self.file, "--optuna-storage")
        try:
            self.storage: Any = self._open(reading)
        except Exception as error:  # any database's own exceptions
            raise BadInput(f"--optuna-storage {shown(url)!r} {self._fault(error)}") from error

    def alone(self, work: Callable[[], Result]) -> Result:
        """Return what ``work`` returns, during which all other drivers of the search are kept out of such calls.

        On a server it is called again after a lost connection, as ``ServerStorage.once`` does.
        """
        if isinstance(self.storage, ServerStorage):
            return self.storage.once(f"{self._search}/lock", work)
        try:
            held = filelock.FileLock(f"{self.file}.claim", timeout=WAIT_SECONDS).acquire()
        except OSError as error:
            fault = f"--optuna-storage {shown(self.url)!r} cannot be locked ({first_line(error)})"
            raise BadInput(f"{fault}: give a file in a folder that has locks, which no other start holds") from error
        with held:
            return work()

    def _fault(self, error: Exception) -> str:
        """Return what is wrong with a store that cannot be opened, and what to do."""
        if self.file is None:
            return f"cannot be opened ({root_cause(error)}); give a file that can be written, or {uris.DATABASE}"
        if self.url.startswith(JOURNAL) and (whole := _whole_lines(self.file)):
            way = f"put a copy back, or keep what is before it, by `head -n {whole}`: later trials are tried again"
            return f"is damaged in line {whole + 1}; {way}"
        way = "put that right, or give another file, in which the search begins anew"
        return f"cannot be opened ({root_cause(error)}); {way}"

    def _open(self, reading: bool) -> BaseStorage | ServerStorage:
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
        if self.file is not None and self.url.startswith(JOURNAL):
            _cut_half_line(self.file)
            return JournalStorage(JournalFileBackend(str(self.file)))
        wait = {"connect_args": {"timeout": WAIT_SECONDS}} if self.file else {"pool_pre_ping": True}
        alone = None if reading else self.file
        with filelock.FileLock(f"{self.file}.claim", WAIT_SECONDS) if alone else contextlib.nullcontext():
            if alone:
                alone.touch()  # SQLite would make a file that only its user may write, whatever the umask lets a group
            database = with_tables(lambda: RDBStorage(self.url, engine_kwargs=wait))
        if self.file is not None:
            return optuna.storages.get_storage(database)
        wait_for_server(database.engine)
        return ServerStorage(database)


def _cut_half_line(file: Path) -> None:
    """Cut off what a driver that was killed, or had no room, has begun to write: nobody could read on after it.

    Raises:
        ValueError: the file is no journal of Optuna.
    """
    content = file.read_bytes() if file.exists() else b""
    if not content.startswith(BEGINNING[: len(content)]):
        raise ValueError("it is not a journal of Optuna")
    if content and not content.endswith(b"\n"):
        lock = JournalFileSymlinkLock(str(file))
        lock.acquire()  # another driver may be about to write the rest
        try:
            os.truncate(file, file.read_bytes().rfind(b"\n") + 1)
        finally:
            lock.release()


def _whole_lines(file: Path) -> int:
    """Return how many lines of a journal come before the first that is damaged; 0 if none is known to be."""
    for number, line in enumerate(file.read_bytes().splitlines() if file.is_file() else ()):
        try:
            if "op_code" not in json.loads(line):
                return number
        except (ValueError, TypeError):
            return number
    return 0


def best_of(study: optuna.Study) -> FrozenTrial | None:
    """Return the best complete trial of a study, the earliest among equals; a pruned one has no final value."""
    sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return min(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)


def standing(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials without those that failed and are tried again, which count no more."""
    again = {trial.user_attrs[INSTEAD] for trial in trials if INSTEAD in trial.user_attrs}
    return [trial for trial in trials if trial.number not in again]


def faults(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return those of the standing trials that failed by a fault: the next start of the search tries them again."""
    failed = (trial for trial in standing(trials) if trial.state == TrialState.FAIL)
    return [trial for trial in failed if ANSWER not in trial.user_attrs]


def url_of(given: str | None, folder: Path) -> str:
    """Return the URL of a search's trials: the given one, or a file in the folder of its results."""
    return given or str(folder / "optuna.journal")


def file_of(url: str) -> Path | None:
    """Return the file of the store; None if it is on a server."""
    url = absolute(url)
    return Path(url.removeprefix(JOURNAL)) if url.startswith(JOURNAL) else uris.sqlite_file(url)


def absolute(url: str) -> str:
    """Return the URL of the same store in a form that holds in any folder."""
    if "://" not in url:
        url = JOURNAL + url
    if url.startswith(JOURNAL):
        return JOURNAL + str(Path(url.removeprefix(JOURNAL)).absolute())
    file, query = uris.sqlite_file(url), "".join(url.partition("?")[1:])
    return url if file is None else uris.sqlite_uri(file.absolute()) + query


def shown(url: str) -> str:
    """Return the URL without its password, so that a database's client looks for that in its own files."""
    return passwords.shown(url).replace(":***@", "@")


def existing(url: str, search: str) -> TrialStore | None:
    """Return a store to read from; None if it is a file that is not there."""
    file = file_of(url)
    return TrialStore(url, search, reading=True) if file is None or os.path.exists(file) else None


def begun(store: TrialStore | None, name: str) -> optuna.Study | None:
    """Return a study of Optuna's by its name; None if it was never begun."""
    try:
        return None if store is None else optuna.load_study(study_name=name, storage=store.storage)
    except KeyError:
        return None


def budget(search: Search, cell: Cell, train: CompleteTrainable, trials: Sequence[FrozenTrial]) -> int:
    """Return the number of trials of a cell, with those that stand; a grid ends when all its points were tried."""
    if search.sampler != "grid":
        return search.per_cell
    return min(search.per_cell, len(standing(trials)) + len(points_left(search, cell, train, trials)))


def points_left(
    search: Search, cell: Cell, train: CompleteTrainable, trials: Sequence[FrozenTrial]
) -> list[space.Point]:
    """Return the points of the grid that none of the cell's ``trials`` has, whichever sampler proposed these."""
    tried = {frozenset(trial.params.items()) for trial in trials}
    points = space.grid(search.space, train.resolve(search.config(cell, {})).flat)
    return [point for point in points if frozenset(point.items()) not in tried]
