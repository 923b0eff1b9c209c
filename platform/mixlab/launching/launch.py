"""Runs the missing trials of a study, which is one phase, or of a search, which is two."""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from mixlab.cluster.resources import Share, require_place
from mixlab.launching import ending
from mixlab.launching.display import Display
from mixlab.launching.phase import ListedTrials, Listing, Phase
from mixlab.launching.plan import print_outlook
from mixlab.launching.proposed import ProposedTrials
from mixlab.launching.result import Result
from mixlab.launching.sequential import SequentialTrials
from mixlab.launching.session import Session
from mixlab.launching.start import Start, only_driver, only_machine, results_folder, undisturbed
from mixlab.search.history import History
from mixlab.search.race import Race
from mixlab.search.trial_store import TrialStore, url_of
from mixlab.spec.search import Search
from mixlab.spec.state import State
from mixlab.spec.study import Study
from mixlab.tracking import mirroring, store, views
from mixlab.tracking.tracker import Tracker
from mixlab.uris import shown

MLFLOW_WORDS = {State.DONE: "FINISHED", State.FAILED: "FAILED", State.INTERRUPTED: "KILLED"}


@dataclass(frozen=True)
class Finished:
    """The outcome of a phase; ``code`` is 0 if MLflow has everything of it."""

    code: int
    early: bool
    tracker: Tracker
    session: Session


def launch(spec: Study | Search, start: Start, report: Any) -> Result:
    """Train every trial that is not done, write the tables, and return the result.

    Args:
        spec: the study or search, checked and configured.
        start: the start of the command.
        report: the module that makes the tables.
    """
    require_place(start.options)
    folder = results_folder(start.options.storage, spec.name)
    with undisturbed(folder / "mixlab.log"), start:
        if isinstance(spec, Search):
            return _search(spec, start, folder, report)
        return _study(spec, start, folder, report)


def _search(search: Search, start: Start, folder: Path, report: Any) -> Result:
    """Try the rest of the budget, then train each arm's winner on fresh seeds: only those runs are compared."""
    console = start.console
    trials = TrialStore(url_of(start.options.optuna_storage, folder), search.name)
    # A history in a file is this machine's own: a driver elsewhere would propose the same trials once more.
    elsewhere = only_machine(start, "searching") if trials.in_a_file else contextlib.nullcontext()
    with elsewhere, History(search, start.train, trials) as history:
        race = Race(history, report.race) if search.racing else None
        phase = ProposedTrials(history, start.storage, start.options.preset, race)
        found = _run(phase, start)
        if found.early or found.code:
            return Result(found.code)
        console.print(f"Search over: {phase.counts()}", style="bold", highlight=False)
        winners = phase.winners()
        _print_winners(search, history, console)
        study = search.confirmation({name: trial.params for name, trial in winners.items()})
        if not winners:
            return Result(1)
        _wait_for_turn(history, console)
        try:
            result = _study(study, start, folder, report)
        finally:
            history.end_confirmation()
        if not start.options.quiet:
            command = (
                f"python analysis/search_report.py {search.name} --tracking-uri {shown(start.options.tracking_uri)}"
            )
            console.print(f"Everything about the search: {command}", markup=False, soft_wrap=True)
        if failing := phase.failing():
            console.print(f"failed: {failing}", style="red", markup=False, soft_wrap=True)
        whole = len(winners) == len(history.cells) and not failing
        code = result.exit_code if whole else result.exit_code or 1
        return replace(result, exit_code=code)


def _print_winners(search: Search, history: History, console: Console) -> None:
    for name in history.cells:
        found = history.best(name)
        if found is None:
            console.print(f"failed: {name}: no trial was completed, so there is nothing to confirm", style="red")
            continue
        values = ", ".join(f"{key} = {_number(value)}" for key, value in found.params.items())
        line = f"best of {name}: {values}; {search.objective} {found.value:.4g} in trial {found.number}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _wait_for_turn(history: History, console: Console) -> None:
    """Return once this driver may train the winners."""
    said = False
    while not history.begin_confirmation():
        if not said:
            console.print("Another driver of this search trains the winners; waiting for it to end ...", soft_wrap=True)
            said = True
        time.sleep(1)


def _study(study: Study, start: Start, folder: Path, report: Any) -> Result:
    options = start.options
    with only_driver(folder, start):
        recorded = store.recorded(start.client, study.name)
        trials = study.trials(start.train, store.finished(recorded))
        listing = Listing(study, start.train, options.preset, trials, recorded, start.storage.newest())
        place = shown(options.storage)
        phase = SequentialTrials(listing, place, report.decide) if study.sequential else ListedTrials(listing, place)
        found = _run(phase, start, outlook=report)
        plan = phase.tracked.plan
        if found.early:
            return Result(found.code, plan=plan, failures=found.session.failures)
        result = Result(1, plan=plan)
        if not found.code or found.tracker.refused:
            result = _report(study, plan, start, folder / options.preset, found.tracker, report)
        for name, error in found.session.failures.items():
            start.console.print(f"failed: {name}: {error}", style="red", markup=False, soft_wrap=True)
        code = 1 if found.code or found.session.failures else result.exit_code
        return replace(result, exit_code=code, failures=found.session.failures)


def _run(phase: Phase, start: Start, outlook: Any = None) -> Finished:
    """Run what is missing of a phase, and bring MLflow up to it.

    Args:
        phase: what is run.
        start: the start of the command.
        outlook: the module that says, before anything is trained, what the phase can conclude.
    """
    options, console = start.options, start.console
    say = partial(console.print, style="yellow", markup=False, soft_wrap=True)
    mirrors = mirroring.opened(options.mirrors, start.name, results_folder(options.storage, start.name), say)
    share = start.share_of(phase.concerned) if not phase.over() else None
    if share is not None and not options.quiet:
        print_outlook(phase.tracked.plan, outlook, console)
    with phase.lock():
        tracker = Tracker(start.client, phase.tracked, start.provenance)
        tracker.open()
    shown = (phase.done(), phase.expected(), phase.shown, phase.counts, options.quiet, phase.verdicts)
    display = Display(console, phase.rows, *shown)
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
    statuses = {cell: MLFLOW_WORDS[phase.state(cell)] for cell in phase.tracked.cells}
    whole = "KILLED" if end.early or "KILLED" in statuses.values() else "FINISHED"
    tracker.close("FAILED" if "FAILED" in statuses.values() and not end.early else whole, statuses)
    written = ending.write_out(tracker, end, phase.record, options.tracking_uri, console, complete)
    if written:
        start.storage.forget(phase.forgettable() if not end.early or phase.keeps_files else set(), start.launch)
    return Finished(end.code(console) if end.early else int(not written), end.early, tracker, session)


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
        start.options.system_metrics,
    )
    try:
        schedule.run(phase, session, work, schedule.Allotment(share, start.launch))
    finally:
        phase.release()


def _report(study: Study, plan: Mapping[str, Any], start: Start, out: Path, tracker: Tracker, report: Any) -> Result:
    """Write the tables, plots and page from MLflow's records; attach and name them.

    The exit code is 1 if there is no table, because nothing is finished or MLflow went away.
    """
    options, console = start.options, start.console
    try:
        made = report.report(options.tracking_uri, study.name, dict(plan), out)
    except (ValueError, OSError) as error:
        console.print(f"no table: {str(error).splitlines()[0]}", style="red", markup=False, soft_wrap=True)
        return Result(1, plan=plan)
    tracker.attach([*made.files, made.page])
    tracker.describe(made.summary[0], made.summary[1])
    for cell, summary in made.arm_summaries.items():
        tracker.describe(summary[0], summary[1], cell)
    tracker.drain()
    print(made.text)
    files = ", ".join(file.name for file in made.files)
    console.print(f"\nTable and plots, in {out}: {files}", markup=False, soft_wrap=True)
    console.print(f"One page about all of it: {made.page}", markup=False, soft_wrap=True)
    uri = shown(options.tracking_uri)
    server = uri if uri.startswith("http") else "http://127.0.0.1:5000"
    how = "open" if uri.startswith("http") else f"mlflow ui --backend-store-uri {uri}, then open"
    view = views.address(server, tracker.experiment_id, views.arms_key(study.identity))
    console.print(f"Every run in the MLflow UI: {how} {view}", markup=False, soft_wrap=True)
    return Result(0, made.tables, made.verdicts, made.page, plan, made.files)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
