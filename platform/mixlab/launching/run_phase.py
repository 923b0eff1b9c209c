"""Runs the missing trials of a phase on the cluster and, however that ends, brings MLflow up to date."""

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from mixlab.cluster.resources import Share
from mixlab.errors import BadInput, HeadLost, StorageLost, first_line, no_room, without_room
from mixlab.launching.display import Display
from mixlab.launching.phase import Phase
from mixlab.launching.session import Session
from mixlab.launching.start import Start
from mixlab.messages import counted, say
from mixlab.passwords import shown
from mixlab.provenance import command
from mixlab.spec.trial import State
from mixlab.tracking import names
from mixlab.tracking.mirrors import opened
from mixlab.tracking.tracker import DRAIN_SECONDS, Tracker

LOG = logging.getLogger("mixlab")

LOST_DRAIN_SECONDS = 5.0
SAVED = "every trial is kept up to its last checkpoint"


def say_why(fault: BaseException, console: Console, storage: str) -> None:
    """Say why work ended before it was done, unless bad input ended it, which ``code_of`` raises."""
    if isinstance(fault, KeyboardInterrupt):
        say(console, "Stopping ...")
    elif isinstance(fault, SystemExit):  # rich raises it once nobody reads the output, as after leaving a pager
        say(Console(stderr=True), f"Stopping, because nobody reads the output; {SAVED}")
    elif isinstance(fault, HeadLost):
        say(console, f"{fault}; {SAVED}", style="red")
    elif isinstance(fault, StorageLost) or no_room(fault):
        # A trial says what it lacks; what is written here goes to the storage.
        why = fault if isinstance(fault, StorageLost) else without_room(f"--storage {shown(storage)!r}", fault)
        say(console, f"stopped, because {why}; {SAVED}, and the same command goes on", style="red")
    elif not isinstance(fault, BadInput):
        LOG.error("the work ended by a fault", exc_info=fault)
        text = f"stopped by {type(fault).__name__}: {first_line(fault)}; {SAVED}"
        say(console, f"{text}, and mixlab.log says more", style="red")


def code_of(fault: BaseException, console: Console) -> int:
    """Return the exit code of work that ended early; raise the ``BadInput`` that ended it, if one did."""
    if isinstance(fault, BadInput):
        raise fault
    if isinstance(fault, KeyboardInterrupt | SystemExit):
        say(console, f"Stopped; {SAVED}. To go on: {command()}", whole=True)
        return 130
    return 1


def write_out(tracker: Tracker, record: str, console: Console, *, complete: bool = True, lost: bool = False) -> bool:
    """Wait until MLflow has everything, say what it refused, and return whether it has all; give up the rest.

    The ``record`` is a clause that says where the records are that MLflow may lack. ``complete`` is False if MLflow did
    not answer an earlier request, so that not everything was queued. If the cluster is ``lost``, MLflow gets little
    time, since it may have been on the same machine.
    """

    def tell(left: int) -> None:
        say(console, f"Writing to MLflow, which is slow: {counted(left, 'write')} left")

    written = tracker.writer.drain(LOST_DRAIN_SECONDS if lost else DRAIN_SECONDS, tell) and complete
    refused = tracker.newly_refused()
    for line in dict.fromkeys(refused):  # once for a deleted run, which gives the same line for each epoch
        say(console, f"MLflow refused a write: {line}", style="red")
    if not written:
        if tracker.writer.full and not lost:
            tracker.end_without_room()
            tracker.writer.drain(DRAIN_SECONDS)
        reason = f" ({shown(tracker.writer.outage)})" if tracker.writer.outage else ""
        what = "has no room" if tracker.writer.full else "does not answer"
        remedy = f"Nothing is lost: {record}, and the same command writes it{reason}."
        text = f"MLflow at {shown(tracker.client.tracking_uri)} {what}. {remedy}"
        say(console, text, style="red")
        tracker.writer.abandoned = True  # in a notebook it would write on, into the runs of the next launch
    return written and not refused


@dataclass(frozen=True)
class Finished:
    """The outcome of a phase; ``code`` is 0 if MLflow has everything of it."""

    code: int
    early: bool
    tracker: Tracker
    session: Session


def run_phase(phase: Phase, start: Start, outlook: Callable[[Mapping[str, Any]], object] | None = None) -> Finished:
    """Run the missing trials of a phase, and bring MLflow up to date.

    Before anything is trained, ``outlook`` prints what the phase's plan can conclude.
    """
    options, console = start.options, start.console
    mirrors = opened(options.mirrors, start.name, start.folder, partial(say, console, style="yellow"))
    share = start.share_of(phase.concerned) if not phase.over() else None
    if share is not None and outlook is not None and not options.quiet:
        outlook(phase.tracked.plan)
    tracker = Tracker(start.client, phase.tracked, start.provenance)
    phase.alone(tracker.open)
    display = Display(console, phase, options.quiet)
    after_end = partial(phase.after_end, tracker.trials)
    session = Session(tracker.trials, start.storage, display, mirrors, phase.keeps_files, after_end)
    complete, fault = True, None
    try:
        with display:
            complete = phase.catch_up(session)
            if share is not None:
                _train(phase, session, start, share)
                complete = phase.catch_up(session)
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        fault = error
        say_why(fault, console, options.storage)
    early = fault is not None
    mirrors.close(session.running.values())
    for trial in session.running.values():
        tracker.trials.end(trial, State.INTERRUPTED)
    states = {cell: phase.state(cell) for cell in phase.tracked.cells}
    tracker.close(State.INTERRUPTED if early else worst_of(states.values()), states)
    written = write_out(tracker, phase.record, console, complete=complete, lost=isinstance(fault, HeadLost))
    if written:
        _forget(phase.forgettable() if not early or phase.keeps_files else set(), start)
    code = int(not written) if fault is None else code_of(fault, console)
    return Finished(code, early, tracker, session)


def worst_of(states: Collection[State]) -> State:
    """Return the state of a whole from those of its parts."""
    return next((state for state in (State.FAILED, State.INTERRUPTED) if state in states), State.DONE)


def _forget(keys: set[str], start: Start) -> None:
    """Delete the checkpoints of these trials; if that fails, only say so, because the table is still to be made."""
    try:
        start.storage.forget(keys, start.launch)
    except (OSError, BadInput) as error:
        text = f"checkpoints that are needed no more cannot be deleted ({first_line(error)})"
        say(start.console, text, style="yellow")


def _train(phase: Phase, session: Session, start: Start, share: Share) -> None:
    """Train the missing trials of a phase, each with a share of the cluster."""
    from mixlab.cluster import schedule  # it imports Ray
    from mixlab.cluster.worker import Work, files_of

    work = Work(
        train=start.train,
        storage=start.storage,
        threads=share.threads,
        data_root=Path(start.options.data_root).absolute(),
        checkpoint_every=start.options.checkpoint_every,
        files=files_of(start.train, [trial.config for trial in phase.concerned]),
        code={name.removeprefix(names.WORD): text for name, text in start.provenance.tags.items()},
        system_metrics=start.options.system_metrics,
    )
    try:
        schedule.run(phase, session, work, share, start.launch)
    finally:
        phase.release()
