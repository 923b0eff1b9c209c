"""Runs the two phases of a search: the trials that it proposes, then each arm's winner on fresh seeds."""

import contextlib
import time
from dataclasses import replace
from functools import partial

from rich.console import Console

from mixlab.launching.launch_study import launch_study
from mixlab.launching.one_driver import only_machine
from mixlab.launching.proposed import ProposedTrials
from mixlab.launching.result import Result
from mixlab.launching.run_phase import run_phase
from mixlab.launching.start import Start
from mixlab.messages import say
from mixlab.passwords import shown
from mixlab.search.history import History
from mixlab.search.race import Race
from mixlab.search.samplers import require_sampler
from mixlab.search.trial_store import TrialStore, standing, url_of
from mixlab.search.trial_store import shown as shown_url
from mixlab.spec.search import Search
from mixlab.spec.space import short
from mixlab.spec.study import Study
from mixlab.tracking import artifacts, names, stored_runs
from mixlab.tracking.experiment import interrupt_plans
from mixlab.uris import typed


def launch_search(search: Search, start: Start) -> Result:
    """Try the rest of the budget, then train each arm's winner on fresh seeds: only those runs are compared.

    Raises:
        BadInput: the sampler cannot be made, the store of the trials cannot be opened, or something that the search
            needs is not there.
    """
    require_sampler(search.sampler)
    console = start.console
    trials = TrialStore(url_of(start.options.optuna_storage, start.folder), search.name)
    with contextlib.ExitStack() as stack:
        if trials.file:  # it is this machine's own: a driver elsewhere would propose the same trials once more
            stack.enter_context(only_machine(start, "searching"))
        history = History(search, start.train, trials)
        stack.enter_context(history.drivers.joined())
        history.store.alone(partial(_end_abandoned, history, start))
        history.retry_faults()
        race = Race(history, start.report.race) if search.racing else None
        phase = ProposedTrials(history, start.storage, start.options.preset, race)
        found = run_phase(phase, start)
        if found.early or found.code:
            return Result(found.code)
        quiet = start.options.quiet
        if not quiet:
            say(console, f"Search over: {phase.counts()}", style="bold")
        winners = phase.winners()
        study = search.confirmation({name: each.params for name, each in winners.items()})
        study = replace(study, tried={name: len(standing(history.trials(name))) for name in study.tuned or ()})
        _print_winners(search, history, study, console, quiet)
        result = _confirm(study, history, start) if study.tuned else Result(1)
        if study.tuned and not quiet:
            command = report_command(search.name, start.options.tracking_uri, trials.url)
            say(console, f"Everything about the search: {command}", whole=True)
        if failing := phase.failing():
            say(console, f"failed: {failing}", style="red")
        whole = len(winners) == len(history.cells) and not failing
        return result if whole else replace(result, exit_code=result.exit_code or 1)


def _end_abandoned(history: History, start: Start) -> None:
    """End the runs of the search's plans, of these trials, whose drivers were killed, unless one may be at work."""

    def has_these_trials(_: str, run: stored_runs.StoredRun) -> bool:
        return bool(artifacts.plan_of(start.client, run.run_id).get("storage") == shown_url(history.store.url))

    if history.drivers.alone():
        interrupt_plans(start.client, history.search.name, names.SEARCH_LEVELS, has_these_trials)


def report_command(search: str, tracking_uri: str, storage: str) -> str:
    """Return the command of the report, which works from any folder; a storage's password is to be filled in."""
    lacking = ["--optuna-storage", storage] if shown(storage) != storage else []  # MLflow holds it without
    return typed("python", "-m", "analysis.search_report", search, "--tracking-uri", tracking_uri, *lacking)


def _print_winners(search: Search, history: History, study: Study, console: Console, quiet: bool) -> None:
    for name in history.cells:
        found = history.best(name)
        if found is None:
            say(console, f"failed: {name}: no trial was completed, so there is nothing to confirm", style="red")
            continue
        values = ", ".join(f"{key} = {short(value)}" for key, value in found.params.items())
        if not quiet:
            line = f"best of {name}: {values}; {search.objective} {found.value:.4g} in trial {found.number}"
            say(console, line)
        if name not in (study.tuned or {}):
            said = "what it is compared with has no winner, so there is nothing to compare"
            say(console, f"failed: {name}: {said}", style="red")


def _confirm(study: Study, history: History, start: Start) -> Result:
    """Train the winners as a study, once no other driver of the search trains them."""
    _wait_for_turn(history, start.console)
    try:
        done = stored_runs.finished(stored_runs.recorded(start.client, study.name))
        return launch_study(study, study.trials(start.train, done), start)
    finally:
        history.end_confirmation()


def _wait_for_turn(history: History, console: Console) -> None:
    """Return once this driver may train the winners."""
    said = False
    while not history.begin_confirmation():
        if not said:
            say(console, "Another driver of this search trains the winners; waiting for it to end ...")
            said = True
        time.sleep(1)
