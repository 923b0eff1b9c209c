"""Runs what is missing of a phase on the cluster, and brings MLflow up to it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mixlab.cluster.resources import Share
from mixlab.errors import BadInput, first_line
from mixlab.launching import ending
from mixlab.launching.display import Display
from mixlab.launching.phase import Phase
from mixlab.launching.session import Session
from mixlab.launching.start import Start
from mixlab.messages import say
from mixlab.tracking import mirroring, names
from mixlab.tracking.tracker import Tracker
from mixlab.uris import shown


@dataclass(frozen=True)
class Finished:
    """The outcome of a phase; ``code`` is 0 if MLflow has everything of it."""

    code: int
    early: bool
    tracker: Tracker
    session: Session


def run_phase(phase: Phase, start: Start, outlook: Callable[[Mapping[str, Any]], object] | None = None) -> Finished:
    """Run what is missing of a phase, and bring MLflow up to it.

    Before anything is trained, ``outlook`` prints what the phase's plan can conclude.
    """
    options, console = start.options, start.console
    mirrors = mirroring.opened(options.mirrors, start.name, start.folder, partial(say, console, style="yellow"))
    share = start.share_of(phase.concerned) if not phase.over() else None
    if share is not None and outlook is not None and not options.quiet:
        outlook(phase.tracked.plan)
    with phase.lock():
        tracker = Tracker(start.client, phase.tracked, start.provenance)
        tracker.open()
    display = Display(console, phase, options.quiet)
    keeps_files, after_end = phase.keeps_files, partial(phase.after_end, tracker.trials)
    session = Session(tracker.trials, start.storage, display, mirrors, keeps_files, after_end)
    complete = True
    with ending.noticed(console, options.storage) as end, display:
        complete = phase.catch_up(session)
        if share is not None:
            _train(phase, session, start, share)
            complete = phase.catch_up(session)
    mirrors.close(session.running.values())
    tracker.trials.stop(session.running.values())
    statuses = {cell: names.STATUS[phase.state(cell)] for cell in phase.tracked.cells}
    whole = "KILLED" if end.early or "KILLED" in statuses.values() else "FINISHED"
    tracker.close("FAILED" if "FAILED" in statuses.values() and not end.early else whole, statuses)
    written = ending.write_out(tracker, end, phase.record, console, complete)
    if written:
        _forget(phase.forgettable() if not end.early or phase.keeps_files else set(), start)
    return Finished(end.code(console) if end.early else int(not written), end.early, tracker, session)


def _forget(keys: set[str], start: Start) -> None:
    """Delete the checkpoints of these trials; where that fails, say so: they are needed no more, but the table is."""
    try:
        start.storage.forget(keys, start.launch)
    except (OSError, BadInput) as error:
        text = f"checkpoints that are needed no more cannot be deleted ({shown(first_line(error))})"
        say(start.console, text, style="yellow")


def _train(phase: Phase, session: Session, start: Start, share: Share) -> None:
    """Train the trials that are missing of a phase, each with a share of the cluster."""
    from mixlab.cluster import schedule  # it imports Ray
    from mixlab.cluster.worker import Work, files_of

    work = Work(
        start.train,
        start.storage,
        share.threads,
        Path(start.options.data_root).absolute(),
        phase.objective,
        start.options.checkpoint_every,
        files_of(start.train, [trial.config for trial in phase.concerned]),
        {name.removeprefix(names.WORD): text for name, text in start.provenance.tags.items()},
        start.options.system_metrics,
    )
    try:
        schedule.run(phase, session, work, share, start.launch)
    finally:
        phase.release()
