"""Prints what a start of the command would do: the state of every trial, the remaining cost, possible conclusions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mixlab.launching.cost import Left, print_cost
from mixlab.launching.phase import states
from mixlab.launching.result import Result
from mixlab.launching.sequential import SequentialTrials
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
    if isinstance(spec, Search):  # the winner of each arm brings its own
        plan["config"] = {key: value for key, value in plan["config"].items() if key not in spec.space}
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
    for trial in trials:
        key, found = trial.key, state[trial.key]
        after = f" after epoch {saved[key].epochs[-1].number}" if key in saved and found is not State.DONE else ""
        error = f": {recorded[key].tags.get(names.ERROR, '')}" if found is State.FAILED else ""
        say(console, f"{key}  {found.value:<11}  {trial.name}{after}{error}")
    counts = Counter(state[trial.key] for trial in trials)
    summary = ", ".join(f"{counts[each]} {each.value}" for each in ORDER if counts[each])
    say(console, f"{len(trials)} trials: {summary}", style="bold")
    if study.sequential:
        for compared, verdict in phase.rounds.verdicts.items():
            say(console, f"  {cell_name(*compared)}: {verdict}")
        after = f"at most {len(due)} trials are left, the cost of which follows" if due else "no trial is left"
        say(console, f"Seeds are added one by one to the arms that are not decided: {after}")
    missing = [trial for trial in due if state[trial.key] is not State.DONE]
    return [Left(trial, 1 - saved[trial.key].share if trial.key in saved else 1.0) for trial in missing]


def _print_data(left: Sequence[Left], start: Start) -> None:
    """Print what the trials that are left read and is not there, if the trainable says."""
    train, root = start.train, start.options.data_root
    found = [train.lacking(each, Path(root)) for each in train.to_prepare(each.trial for each in left)]
    if None in found:
        return
    lacking = dict.fromkeys(sentence for sentences in found for sentence in sentences or ())
    say(start.console, f"Data: {'; '.join(lacking) or f'found in {root}'}")


def print_outlook(plan: Mapping[str, Any], start: Start, recorded: Mapping[str, StoredRun]) -> list[str]:
    """Print and return what a plan can conclude, by MLflow's records so far, if the report's module says so."""
    outlook, metric = getattr(start.report, "outlook", None), plan["metric"]
    done = ((key, recorded[key].metrics) for key in store.finished(recorded))
    results = {key: metrics[metric] for key, metrics in done if metric in metrics}
    lines: list[str] = outlook(plan, results) if outlook is not None else []
    for line in lines:
        say(start.console, line)
    return lines
