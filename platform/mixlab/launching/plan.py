"""Prints what a start of the command would do: the state of every trial, the remaining cost, possible conclusions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from mixlab.launching.cost import Left, print_cost
from mixlab.launching.phase import states
from mixlab.launching.result import Result
from mixlab.launching.sequential import Rounds, SequentialTrials
from mixlab.launching.start import Start
from mixlab.messages import say
from mixlab.spec.search import Search
from mixlab.spec.study import Study
from mixlab.spec.study_plan import study_plan
from mixlab.spec.trial import State, Trial, cell_name
from mixlab.storage.probe import require_storage
from mixlab.tracking import names, store
from mixlab.tracking.store import StoredRun

ORDER = (State.DONE, State.FAILED, State.INTERRUPTED, State.PENDING)


def print_plan(spec: Study | Search, trials: Sequence[Trial], start: Start) -> Result:
    """Print the remaining trials, their cost and what they can show, and return it; train and write nothing.

    The trials are those of the study, or of the study that the search holds.
    """
    options = start.options
    recorded: Mapping[str, StoredRun] = {}
    if isinstance(spec, Search):
        from mixlab.launching.proposed import left_of_search  # it imports Optuna

        left = [*left_of_search(spec, start), *map(Left, trials)]
        study = spec.study
    else:
        require_storage(options.storage, writable=False)
        recorded = store.recorded(store.existing(options.tracking_uri), spec.name)
        left = _left_of_study(spec, trials, start, recorded)
        study = spec
    plan = study_plan(study, trials, options.preset, start.train)
    outlook = print_outlook(plan, start, recorded)
    if left and options.address == "local":  # each node of a cluster has a data root of its own
        _print_data(left, start)
    if left:
        print_cost(left, start)
    return Result(0, plan=plan, outlook=outlook)


def _left_of_study(
    study: Study, trials: Sequence[Trial], start: Start, recorded: Mapping[str, StoredRun]
) -> list[Left]:
    saved, console, due = start.storage.newest(), start.console, trials
    state = states(trials, recorded, saved)
    if study.sequential:
        phase = SequentialTrials(study, trials, start, recorded, saved)
        trials, due = phase.rows, phase.rounds.most()
    left = []
    for trial in trials:
        note = ""
        if state[trial.key] is State.FAILED:
            note = f": {recorded[trial.key].tags.get(names.ERROR, '')}"
        if state[trial.key] is not State.DONE and trial.key in saved:
            note = f" after epoch {saved[trial.key].epochs[-1].number}{note}"
        word = state[trial.key].value
        say(console, f"{trial.key}  {word:<11}  {trial.name}{note}")
    found = [state[trial.key] for trial in trials]
    summary = ", ".join(f"{found.count(word)} {word.value}" for word in ORDER if found.count(word))
    say(console, f"{len(trials)} trials: {summary}", style="bold")
    if study.sequential:
        _print_rounds(phase.rounds, len(due), console)
    for trial in due:
        if state[trial.key] is not State.DONE:
            latest = saved[trial.key].epochs[-1] if trial.key in saved else None
            left.append(Left(trial, 1 - latest.number / latest.of if latest else 1.0))
    return left


def _print_data(left: Sequence[Left], start: Start) -> None:
    """Print what the trials that are left read and is not there, if the trainable says."""
    train, root = start.train, start.options.data_root
    found = [train.lacking(each, Path(root)) for each in train.to_prepare(each.trial for each in left)]
    if None in found:
        return
    lacking = dict.fromkeys(sentence for sentences in found for sentence in sentences or ())
    say(start.console, f"Data: {'; '.join(lacking) or f'found in {root}'}")


def _print_rounds(rounds: Rounds, most: int, console: Console) -> None:
    """Print what is decided so far, and how many trials may follow."""
    for compared, verdict in rounds.verdicts.items():
        say(console, f"  {cell_name(*compared)}: {verdict}")
    after = f"at most {most} trials are left, the cost of which follows" if most else "no trial is left"
    say(console, f"Seeds are added one by one to the arms that are not decided: {after}")


def print_outlook(plan: Mapping[str, Any], start: Start, recorded: Mapping[str, StoredRun]) -> list[str]:
    """Print and return what a plan can conclude, by MLflow's records so far, if the report's module says so."""
    outlook, metric = getattr(start.report, "outlook", None), plan["metric"]
    done = ((key, recorded[key].metrics) for key in store.finished(recorded))
    results = {key: metrics[metric] for key, metrics in done if metric in metrics}
    lines: list[str] = outlook(plan, results) if outlook is not None else []
    for line in lines:
        say(start.console, line)
    return lines
