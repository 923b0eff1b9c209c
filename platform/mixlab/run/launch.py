"""Runs what is missing of a study, or prints what that would be."""

import argparse
import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import filelock
from rich.console import Console

from mixlab import provenance
from mixlab.cluster import connect, packing, preparation, schedule
from mixlab.errors import BadInput
from mixlab.run import ending
from mixlab.run.cost import print_cost
from mixlab.run.display import Display
from mixlab.run.session import Session, states
from mixlab.spec.study import Study, Trainable, Trial
from mixlab.storage.journal import Saved, Storage
from mixlab.storage.probe import require_storage
from mixlab.tracking import store, views
from mixlab.tracking.tracker import MlflowException, Tracker
from mixlab.uris import shown


def launch(
    study: Study, train: Trainable, trials: Sequence[Trial], options: argparse.Namespace, console: Console
) -> int:
    """Train every trial that is not done, write the table, and return the exit code."""
    folder = results_folder(options.storage, study.name)
    with _only_driver(folder), chatter_to(folder / "mixlab.log"), contextlib.ExitStack() as stack:
        packing.require_place(options)
        storage = Storage(options.storage, study.name)
        client = store.connect(options.tracking_uri)
        recorded = store.recorded(client, study.name)
        saved = storage.newest()
        state = states(trials, recorded, saved)
        missing = [trial for trial in trials if state[trial.key] != "done"]
        to_train = [trial for trial in missing if not complete(saved.get(trial.key))]
        if to_train:
            resources = stack.enter_context(preparation.connected(options, train, to_train))
            share = packing.share_of(to_train, train, resources, options, console)

        plan = study.plan(trials, options.preset)
        tracker = Tracker(client, study, plan, provenance.collect(Path.cwd()))
        tracker.open({trial.cell: trial.arm for trial in trials})
        done = {t.key: _percent(recorded[t.key].test_top1) for t in trials if state[t.key] == "done"}
        display = Display(console, trials, done, options.quiet)
        session = Session(trials, tracker, storage, display, saved)
        with ending.noticed(console) as end, display:
            for trial in missing:
                session.replay(trial)
            display.expect(sum(trial.config["epochs"] - session.epochs[trial.key] for trial in to_train))
            if to_train:
                schedule.run(to_train, train, session, place(share, storage, options), saved)
        session.close(end.early)
        kept = f"what it lacks is kept under {shown(options.storage)}"
        written = ending.write_out(tracker, end, kept, options.tracking_uri, console)
        if written and not tracker.refused:
            storage.forget(session.done_keys)
        if end.early:
            return ending.exit_code(end, console)
        told = written and _report(study, plan, options, folder / options.preset, tracker, console)
        for name, error in session.failures.items():
            console.print(f"failed: {name}: {error}", style="red", markup=False, soft_wrap=True)
        return 0 if told and not session.failures else 1


def dry_run(
    study: Study, train: Trainable, trials: Sequence[Trial], options: argparse.Namespace, console: Console
) -> int:
    """Print each trial's state and what is left to pay; train and write nothing."""
    packing.require_place(options)
    require_storage(options.storage, writable=False)
    recorded: dict[str, store.Recorded] = {}
    file = options.tracking_uri.removeprefix("sqlite:///")
    if file == options.tracking_uri or Path(file).exists():
        recorded = store.recorded(store.connect(options.tracking_uri), study.name)
    saved = Storage(options.storage, study.name).newest()
    state = states(trials, recorded, saved)
    for trial in trials:
        error = f": {recorded[trial.key].error}" if state[trial.key] == "failed" else ""
        epochs = (
            f" after epoch {len(saved[trial.key].epochs)}"
            if state[trial.key] == "interrupted" and trial.key in saved
            else ""
        )
        console.print(f"{trial.key}  {state[trial.key]:<11}  {trial.name}{epochs}{error}", markup=False, soft_wrap=True)
    counts = {name: sum(s == name for s in state.values()) for name in ("done", "failed", "interrupted", "pending")}
    summary = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    console.print(f"{len(trials)} trials: {summary}", style="bold")
    left = [trial for trial in trials if state[trial.key] != "done"]
    if left:
        print_cost(left, train, saved, options, console)
    return 0


def place(share: connect.Share, storage: Storage, options: argparse.Namespace) -> schedule.Place:
    """Where this start of the command runs its trials."""
    launch = time.strftime("%Y%m%d-%H%M%S") + f"-{os.getpid()}"
    return schedule.Place(share, storage, launch, Path(options.data_root).absolute())


def complete(saved: Saved | None) -> bool:
    """Whether a checkpoint is that of a trial's last epoch."""
    return saved is not None and saved.epochs[-1]["epoch"] == saved.epochs[-1]["epochs"]


def _report(
    study: Study,
    plan: Mapping[str, Any],
    options: argparse.Namespace,
    out: Path,
    tracker: Tracker,
    console: Console,
) -> bool:
    """Write the table, beside the published one, plots and page from what MLflow holds; attach and name them.

    False where there is no table: nothing is finished, or MLflow went away.
    """
    from analysis.ablation_table import write_study_table
    from analysis.report import write_report
    from analysis.words.summaries import of_arms, of_study

    where = (options.tracking_uri, study.name)
    try:
        table = write_study_table(*where, out, plan=dict(plan))
        page, *figures = write_report(*where, out / "report.html", dict(plan), table.levels, figures=out)
    except (ValueError, MlflowException) as error:
        console.print(f"no table: {str(error).splitlines()[0]}", style="red", markup=False)
        return False
    files = [*table.files, *figures]
    tracker.attach([*files, page])
    tracker.describe(*of_study(table.levels))
    for cell, summary in of_arms(table.levels).items():
        tracker.describe(*summary, cell)
    tracker.drain()
    print(table.text)
    names = ", ".join(file.name for file in files)
    console.print(f"\nTable and plots, in {out}: {names}", markup=False, soft_wrap=True)
    console.print(f"One page about all of it: {page}", markup=False, soft_wrap=True)
    uri = shown(options.tracking_uri)
    server = uri if uri.startswith("http") else "http://127.0.0.1:5000"
    how = "open" if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}, then open"
    view = views.address(server, tracker.experiment_id, views.arms_key(study.identity))
    console.print(f"Every run in the MLflow UI: {how} {view}", markup=False, soft_wrap=True)
    return True


def results_folder(storage: str, study: str, make: bool = True) -> Path:
    """Where tables and logs go: below the storage, or below ``results`` where the storage is remote.

    Args:
        storage: a folder or a URI.
        study: its name.
        make: also make the folder, and see that the storage can be written.

    Raises:
        BadInput: it cannot.
    """
    folder = (Path("results") if "://" in storage else Path(storage)) / study
    if not make:
        return folder
    if "://" in storage:
        require_storage(storage)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".lock").touch()
    except OSError as error:
        raise BadInput(f"--storage {storage!r} cannot be written: {error.strerror}") from error
    return folder


@contextlib.contextmanager
def _only_driver(folder: Path) -> Iterator[None]:
    """Two drivers of one study on one storage would run the same trials twice."""
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout:
        raise BadInput(f"another start of this study is running on {str(folder)!r}: wait for it, or stop it") from None


@contextlib.contextmanager
def chatter_to(path: Path) -> Iterator[None]:
    """Send the logs of Ray, MLflow and their libraries to a file; SIGTERM stops as Ctrl-C does."""
    handler = logging.FileHandler(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.addHandler(handler)
    for name in ("ray", "mlflow", "alembic", "mixlab", "py.warnings"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # the journal and MLflow hold what they would
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")  # its banner comes even at verbosity 0
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # a second of Ctrl-C is ours to clean up after
    # The writer repeats what failed, and looks first whether a run was made all the same.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        root.removeHandler(handler)
        handler.close()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
