"""Runs a search: what is missing of its trials, then the confirmation of the winners; or prints what that would be."""

import argparse
import contextlib
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import ray
from optuna.trial import TrialState
from rich.console import Console

from mixlab import provenance
from mixlab.cluster import packing, preparation, schedule
from mixlab.cluster.connect import Share
from mixlab.cluster.objective import Objective
from mixlab.run import ending
from mixlab.run.cost import print_cost
from mixlab.run.launch import chatter_to, launch, place, results_folder
from mixlab.run.search_session import LEVELS, SearchSession
from mixlab.search import trial_store
from mixlab.search.history import History
from mixlab.search.searcher import HistorySearcher, Stopper
from mixlab.search.trial_store import TrialStore
from mixlab.spec import space
from mixlab.spec.search import Search
from mixlab.spec.study import Cell, Trainable
from mixlab.storage.journal import Storage
from mixlab.tracking.store import connect
from mixlab.tracking.tracker import Tracker
from mixlab.uris import shown


def launch_search(search: Search, train: Trainable, options: argparse.Namespace, console: Console) -> int:
    """Try what is left of the budget, train the winners on fresh seeds, write their table; returns the exit code."""
    folder = results_folder(options.storage, search.name)
    with contextlib.ExitStack() as stack:
        with chatter_to(folder / "mixlab.log"):
            store = TrialStore(_url(options, folder), search.name)
            history = stack.enter_context(History(search, train.resolve, store))
            code = _explore(history, train, options, console)
        return _confirm(history, train, options, console) if code == 0 else code


def dry_run_search(search: Search, train: Trainable, options: argparse.Namespace, console: Console) -> int:
    """Print how far each arm is and what is left to pay; train and write nothing."""
    packing.require_place(options)
    url = trial_store.absolute(_url(options, results_folder(options.storage, search.name, make=False)))
    begun = {cell.name: _states(search, cell, train, url) for cell in search.cells()}
    left = []
    for cell in search.cells():
        states = begun[cell.name]
        counts = {state.name.lower(): states.count(state) for state in TrialState if states.count(state)}
        todo = max(0, search.per_cell - sum(state.is_finished() for state in states))
        shown = ", ".join(f"{count} {_WORDS[name]}" for name, count in counts.items())
        console.print(f"{cell.name}: {shown or 'nothing tried'}, {todo} of {search.per_cell} left", markup=False)
        point = next(space.corners(search.space, search.config(cell, {})))
        left += [search.trial(cell, point, number, train.resolve) for number in range(todo)]
    console.print(
        f"{search.budget} trials by {search.sampler}, stopped early by {search.scheduler}; then {len(begun)} winners "
        f"on {len(search.seeds)} fresh seeds",
        style="bold",
    )
    if left:
        print_cost(left, train, {}, options, console)
    return 0


def _states(search: Search, cell: Cell, train: Trainable, url: str) -> list[TrialState]:
    """Of the trials of a cell that were begun; makes neither a file nor a study."""
    file = Path(url.removeprefix(trial_store.JOURNAL).removeprefix(trial_store.SQLITE))
    if url.startswith((trial_store.JOURNAL, trial_store.SQLITE)) and not file.exists():
        return []
    try:
        name = search.history_name(cell, train.resolve)
        study = optuna.load_study(study_name=name, storage=TrialStore(url, search.name).storage)
    except KeyError:
        return []
    return [trial.state for trial in study.get_trials(deepcopy=False)]


_WORDS = {"complete": "complete", "pruned": "pruned", "fail": "failed", "running": "running", "waiting": "interrupted"}


def _explore(history: History, train: Trainable, options: argparse.Namespace, console: Console) -> int:
    search = history.search
    packing.require_place(options)
    storage = Storage(options.storage, search.name)
    with history.store.lock():  # of two drivers that start together, one makes the runs and the other finds them
        client = connect(options.tracking_uri)
        plan = describe(history, options.preset)
        tracker = Tracker(client, search, plan, provenance.collect(Path.cwd()), LEVELS)
        tracker.open({name: cell.arm for name, cell in history.cells.items()})
    session = SearchSession(history, tracker, console, options.quiet)
    caught_up = session.catch_up(storage.newest())
    end = ending.Ending()
    if not history.finished():
        trials = [search.trial(cell, {}, 0, train.resolve) for cell in search.cells()]
        with preparation.connected(options, train, trials) as resources:
            share = packing.share_of(trials, train, resources, options, console)
            room = partial(_room, search, share)
            searcher = HistorySearcher(history, storage, session, room)
            session.follow(searcher)
            objective = Objective(train, search.objective, search.search_seeds)
            where = place(share, storage, options)
            try:
                with ending.noticed(console) as end:
                    schedule.explore(searcher, Stopper(searcher), objective, session, where)
            finally:
                history.release(list(searcher.claims.values()))
        caught_up = end.lost or session.catch_up(storage.newest())
        if searcher.broken is not None:
            session.close(interrupted=True)
            tracker.drain()
            raise searcher.broken
    session.close(end.early)
    kept = f"the history is at {trial_store.shown(history.store.url)}"
    written = ending.write_out(tracker, end, kept, options.tracking_uri, console, caught_up)
    if end.early:
        return ending.exit_code(end, console)
    if not written:
        return 1
    if not tracker.refused:
        storage.forget(
            {history.as_trial(c, found).key for n, c in history.cells.items() for found in history.trials(n)}
        )
    console.print(f"Search over: {session.counts()}", style="bold", highlight=False)
    return 0


def _room(search: Search, share: Share) -> int:
    """How many trials may run at a time, of the nodes that are there just now."""
    return search.concurrent or share.slots(ray.cluster_resources())


def _confirm(history: History, train: Trainable, options: argparse.Namespace, console: Console) -> int:
    """Train each arm's best configuration on the full training set and fresh seeds: only these runs are compared."""
    search = history.search
    best = {name: history.best(name) for name in history.cells}
    winners = {name: found.params for name, found in best.items() if found is not None}
    for name, found in best.items():
        if found is not None:
            values = ", ".join(f"{key} = {_number(value)}" for key, value in found.params.items())
            line = f"best of {name}: {values}; {search.objective} {found.value:.4g} in trial {found.number}"
            console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            console.print(f"failed: {name}: no trial was completed, so there is nothing to confirm", style="red")
    if not winners:
        return 1
    while not history.begin_confirmation():
        time.sleep(1)
    try:
        study = search.confirmation(winners)
        code = launch(study, train, study.trials(train.resolve), options, console)
    finally:
        history.end_confirmation()
    if not options.quiet:
        report = f"python analysis/search_report.py {search.name} --tracking-uri {shown(options.tracking_uri)}"
        console.print(f"Everything about the search: {report}", markup=False, soft_wrap=True)
    return code if len(winners) == len(best) else code or 1


def describe(history: History, preset: str) -> dict[str, Any]:
    """What the analysis needs to know of the search, ready for JSON."""
    search = history.search
    return {
        "search": search.name,
        "preset": preset,
        "storage": trial_store.shown(history.store.url),
        "confirmation": search.confirmation({}).identity,
        "arms": {name: study.study_name for name, study in history.arms.items()},
        "objective": search.objective,
        "direction": search.direction,
        "space": {
            key: {"kind": type(values).__name__, **_json(asdict(values))} for key, values in search.space.items()
        },
        "per_arm": search.per_cell,
        "sampler": search.sampler,
        "scheduler": search.scheduler,
        "search_seeds": list(search.search_seeds),
        "seeds": list(search.seeds),
    }


def _json(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _url(options: argparse.Namespace, folder: Path) -> str:
    return options.optuna_storage or str(folder / "optuna.journal")


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
