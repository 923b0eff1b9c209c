"""The parts of one start of the command that its phases share: console, cluster, storage and MLflow."""

import contextlib
import logging
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from unittest.mock import patch

from rich.console import Console

from mixlab import provenance
from mixlab.cluster.resources import Share
from mixlab.errors import BadInput, first_line
from mixlab.messages import say
from mixlab.options import Options
from mixlab.passwords import shown
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.trial import Trial
from mixlab.storage.journal import Storage
from mixlab.storage.probe import require_storage
from mixlab.tracking import store

LOG_FILE, LOCK_FILE = "mixlab.log", ".lock"


@dataclass
class Start:
    """One start of the command. Ray, once started, runs to the end of its ``stack``."""

    name: str  # the study's
    train: CompleteTrainable
    options: Options
    console: Console
    study_file: Path  # the file that was started
    report: Any = None  # the module that makes the tables
    resources: dict[str, float] | None = None  # those of the cluster, once connected
    # Process numbers would not tell starts apart: in many containers at once, the study is process 1.
    launch: str = field(default_factory=lambda: f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}")

    def __post_init__(self) -> None:
        self.stack = contextlib.ExitStack()
        self.storage = Storage(self.options.storage, self.name)

    @property
    def folder(self) -> Path:
        """Return where tables and logs go: below the storage, or below ``results`` if the storage is remote."""
        storage = self.options.storage
        return (Path("results") if "://" in storage else Path(storage)) / self.name

    @property
    def tables(self) -> Path:
        """Return the part of that folder that holds the tables of the preset."""
        return self.folder / self.options.preset

    def make_folder(self) -> None:
        """Make that folder; raise ``BadInput`` if it, or the storage, cannot be written."""
        require_storage(self.options.storage)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            files = [self.folder / LOG_FILE, self.folder / LOCK_FILE]  # another user may own them
            if os.path.lexists(self.tables):  # it may be a link to nothing
                TemporaryFile(dir=self.tables).close()
                files += filter(Path.is_file, self.tables.iterdir())
            for file in files:
                file.open("ab").close()
        except UnicodeEncodeError as error:
            text = f"{str(self.folder)!r} cannot name a folder in {error.encoding!r}, in which Python writes names here"
            raise BadInput(f"{text}: export PYTHONUTF8=1") from error
        except OSError as error:
            text = f"{str(self.folder)!r}, where tables and logs go, cannot be written ({first_line(error)})"
            raise BadInput(f"{text}: give another --storage, or start it as the user who owns it") from error

    @cached_property
    def client(self) -> store.MlflowClient:
        """Return the client of MLflow; raise ``BadInput`` if it does not answer."""
        return store.connect(self.options.tracking_uri)

    @cached_property
    def provenance(self) -> provenance.Provenance:
        """Return the provenance of the code that runs."""
        return provenance.collect(self.study_file, self.train.train)

    def share_of(self, trials: Sequence[Trial]) -> Share:
        """Connect to Ray if necessary, fetch there what ``trials`` need, and return the resources of each.

        Raises:
            BadInput: nobody answers at the address, something cannot be fetched, or there is no room for a trial.
        """
        # Ray takes a second to import, for which a study that is done does not wait.
        from mixlab.cluster import connect, nodes, packing

        data_root = Path(self.options.data_root).absolute()
        local = self.options.address == "local"
        if local:
            nodes.prepare(self.train, trials, Path(self.options.data_root))
        if self.resources is None:
            self.resources = self.stack.enter_context(connect.connected(self.options.address, self.train.train))
            _ = self.provenance  # of what the workers have just got: it may be edited while data are fetched
        if not local:
            gpus = self.options.gpus_per_trial != 0 and self.resources.get("GPU", 0) > 0
            if not self.options.quiet:
                looking = "Looking on each node for the data that the trials read, and fetching what is missing ..."
                say(self.console, looking)
            nodes.prepare_nodes(self.train, trials, data_root, gpus)
        return packing.share_of(trials, self.train, self.resources, self.options, self.console)


USUAL = {  # for the environment, where it does not say otherwise
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the journal and MLflow hold the same
    "RAY_AIR_NEW_OUTPUT": "0",  # its banner comes even at verbosity 0
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for each run, through the live table
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # a second of Ctrl-C is ours to clean up after
}
ALWAYS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}  # the writer tries again, and looks first whether a run was made


@contextlib.contextmanager
def undisturbed(log: Path) -> Iterator[None]:
    """Send the logs of Ray, MLflow and their libraries to a file; SIGTERM and SIGHUP stop as Ctrl-C does.

    Outside the main thread, where Python takes no signals, they are left as they are. After the block the environment
    is as it was before.
    """
    handler = _Log(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.addHandler(handler)
    for name in ("mlflow", "alembic", "mixlab", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    taken = STOPPING if threading.current_thread() is threading.main_thread() else ()
    heard = [number for number in taken if signal.getsignal(number) != signal.SIG_IGN]  # nohup ignores SIGHUP
    before = {number: signal.signal(number, signal.default_int_handler) for number in heard}
    try:
        with patch.dict(os.environ, {**USUAL, **os.environ, **ALWAYS}):
            yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
        root.removeHandler(handler)
        handler.close()


class _Log(logging.FileHandler):
    """A log without passwords, which says nothing on the terminal when its disk is full."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Handler``."""
        return shown(super().format(record))

    def handleError(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""

    def close(self) -> None:
        with contextlib.suppress(OSError):
            super().close()


STOPPING = (signal.SIGTERM, signal.SIGHUP)  # a time limit, and a terminal that was closed
