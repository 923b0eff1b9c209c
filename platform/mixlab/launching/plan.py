"""Prints what a start of the command would do: the state of every trial, the remaining cost, possible conclusions."""

import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from mixlab.cluster.resources import Share, checked_share, this_machine
from mixlab.errors import account_of, last_line
from mixlab.launching.display import duration
from mixlab.launching.phase import Left, states
from mixlab.launching.result import Result
from mixlab.launching.sequential import SequentialTrials
from mixlab.launching.start import Start
from mixlab.messages import counted, say
from mixlab.options import AUTO
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import Search, SearchTrial
from mixlab.spec.study import Study
from mixlab.spec.study_plan import study_plan
from mixlab.spec.trial import State, Trial, cell_name
from mixlab.storage.probe import require_storage
from mixlab.tracking import names, store, stored_runs
from mixlab.tracking.stored_runs import StoredRun

TIMING = "timing a few training steps of each kind of trial ..."
ORDER = (State.DONE, State.FAILED, State.INTERRUPTED, State.PENDING)

Estimate = float | str | None  # a trial's seconds; the error of the estimate; None if the trainable cannot say


class Timing(NamedTuple):
    """The estimates for some trials, and the machines that made them, on which the trials would run."""

    estimates: Sequence[Estimate]
    machines: Sequence[Mapping[str, float]]  # the resources of each
    where: str  # the machines in words
    share: Share  # what each trial gets


def print_plan(spec: Study | Search, trials: Sequence[Trial], start: Start) -> Result:
    """Print the remaining trials, their cost and what they can show, and return it; train and write nothing.

    The trials are those of the study, or of the study that the search holds.
    """
    options = start.options
    require_storage(options.storage, writable=False)
    recorded = stored_runs.recorded(store.existing(options.tracking_uri), spec.name)
    done = stored_runs.finished(recorded)
    left: list[Left] = []
    study: Study | None
    if isinstance(spec, Search):
        from mixlab.launching.left_of_search import left_of_search  # it imports Optuna

        left, study = left_of_search(spec, start, done)
        if study is None:
            return Result(0)
        trials = study.trials(start.train, done)
    else:
        study = spec
    if left:
        recorded = {}  # the winners may still change
    else:
        left = _left_of_study(study, trials, start, recorded)
    plan = study_plan(study, trials, options.preset, start.train)
    if isinstance(spec, Search):  # the winner of each arm brings its own
        plan["config"] = {key: value for key, value in plan["config"].items() if key not in spec.space}
    outlook = print_outlook(plan, start, recorded)
    if left and options.address == "local":  # each node of a cluster has a data root of its own
        _print_data(left, start)
    if left:
        print_cost(left, start, spec.concurrent if isinstance(spec, Search) else None)
    return Result(0, plan=plan, outlook=outlook)


def _left_of_study(
    study: Study, trials: Sequence[Trial], start: Start, recorded: Mapping[str, StoredRun]
) -> list[Left]:
    """Return the trials that are left of a study, and print the state of each trial."""
    saved, console = start.storage.newest(), start.console
    state = states(trials, recorded, saved)
    due = trials  # those that may be run
    if study.sequential:
        phase = SequentialTrials(study, trials, start, recorded, saved)
        trials, due = phase.rows, phase.rounds.most()
    for trial in trials:
        key, found = trial.key, state[trial.key]
        after = f" after {saved[key].epochs[-1].in_words}" if key in saved and found is not State.DONE else ""
        # MLflow has it running: a start is at work, or was killed.
        unless = ", unless another start runs it" if key in recorded and recorded[key].state is State.RUNNING else ""
        error = f": {recorded[key].tags.get(names.ERROR, '')}" if found is State.FAILED else ""
        say(console, f"{key}  {found.value:<11}  {trial.name}{after}{unless}{error}")
    counts = Counter(state[trial.key] for trial in trials)
    summary = ", ".join(f"{counts[each]} {each.value}" for each in ORDER if counts[each])
    say(console, f"{counted(len(trials), 'trial')}: {summary}", style="bold")
    if study.sequential:
        for compared, verdict in phase.rounds.verdicts.items():
            say(console, f"  {cell_name(*compared)}: {verdict}")
        after = f"at most {counted(len(due), 'trial')} left, the cost of which follows" if due else "no trial is left"
        say(console, f"Seeds are added one by one to the arms that are not decided: {after}")
    shares = {key: 1 - each.share for key, each in saved.items()}
    return [Left(trial, shares.get(trial.key, 1.0)) for trial in due if state[trial.key] is not State.DONE]


def _print_data(left: Sequence[Left], start: Start) -> None:
    """Print which data of the trials that are left is missing, if the trainable says."""
    train, root = start.train, start.options.data_root
    found = [train.lacking(each, Path(root)) for each in train.to_prepare(each.trial for each in left)]
    if None in found:
        return
    lacking = dict.fromkeys(sentence for sentences in found for sentence in sentences or ())
    say(start.console, f"Data: {'; '.join(lacking) or f'found in {root}; the start checks it'}")


def print_outlook(plan: Mapping[str, Any], start: Start, recorded: Mapping[str, StoredRun]) -> list[str]:
    """Print and return what a plan can conclude, given the runs so far, if the report's module has an ``outlook``."""
    outlook, metric = getattr(start.report, "outlook", None), plan["metric"]
    done = ((key, recorded[key].metrics) for key in stored_runs.finished(recorded))
    results = {key: metrics[metric] for key, metrics in done if metric in metrics}
    lines: list[str] = outlook(plan, results) if outlook is not None else []
    for line in lines:
        say(start.console, line)
    return lines


def print_cost(left: Sequence[Left], start: Start, concurrent: int | None = None) -> None:
    """Print roughly how long the trials that are ``left`` will take; a search proposes so many ``concurrent`` ones."""
    train, options, console = start.train, start.options, start.console
    kinds = {_kind(each.trial, train): each.trial for each in left}  # one trial of each kind to time
    locally = options.address == "local" and options.gpus_per_trial != AUTO
    timing = (_timed_here if locally else _timed_on_cluster)(list(kinds.values()), start)
    if failed := next((each for each in timing.estimates if isinstance(each, str)), ""):
        say(console, f"Cost unknown: the estimate of this trainable failed: {failed}")
        return
    answers = zip(kinds, timing.estimates, strict=True)
    seconds = {kind: answer for kind, answer in answers if isinstance(answer, float)}
    if len(seconds) < len(kinds):
        say(console, "Cost unknown: this trainable does not estimate how long a run takes.")
        return
    takes: dict[str, dict[str, list[float]]] = {}  # by cell, and by what is run, the seconds of each
    proposed = any(isinstance(each.trial, SearchTrial) for each in left)
    for each in left:
        what = "a run of its winner" if proposed and not isinstance(each.trial, SearchTrial) else "a trial"
        of_cell = takes.setdefault(each.trial.cell, {}).setdefault(what, [])
        of_cell.append(seconds[_kind(each.trial, train)] * each.times)
    for cell, found in takes.items():
        each_takes = ", ".join(f"{duration(fmean(times))} {what}" for what, times in found.items())
        say(console, f"  {cell}: about {each_takes}")
    total, elapsed, widths = 0.0, 0.0, []
    for of_search in (True, False):  # the winners are run when all trials have ended
        those = [each for each in left if isinstance(each.trial, SearchTrial) is of_search]
        if not those:
            continue
        costs = [seconds[_kind(each.trial, train)] * each.share * each.times for each in those]
        slots = min(timing.share.slots(timing.machines), len(those), (of_search and concurrent) or len(those))
        total += sum(costs)
        elapsed += max(sum(costs) / min(timing.share.pace(timing.machines), slots), *costs)  # no trial is divided
        widths.append(slots)
    most = max(widths)
    pace = min(timing.share.pace(timing.machines), most)
    turns = f" (they take turns on a GPU: {pace:g} times as fast as one)" if pace < most else ""
    say(
        console,
        f"Estimated cost: {duration(total)} of training, {duration(elapsed)} with "
        f"{'at most ' if min(widths) < most else ''}{most} at a time{turns}, on {timing.where}. "
        "A rough figure, from a few timed steps of one trial of each kind.",
    )


def _timed_here(trials: Sequence[Trial], start: Start) -> Timing:
    """Return the estimates that this process makes, without Ray."""
    import torch

    machine, load = this_machine(), os.getloadavg()[0]  # a mean over a minute, so the steps would count too
    share = checked_share(start.options.cpus_per_trial, start.options.gpus_per_trial, machine, "this machine")
    threads = torch.get_num_threads()  # of a notebook, which goes on with them
    torch.set_num_threads(share.threads)
    try:
        with start.console.status(TIMING):
            estimates = [_estimate(trial.settings, start.train, Path(start.options.data_root)) for trial in trials]
    finally:
        torch.set_num_threads(threads)
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    where = f"{counted(int(machine['CPU']), 'CPU core')} ({platform.machine()}), {', '.join(gpus) or 'no GPU'}"
    if load > machine["CPU"]:  # as in ``check_load`` of the doctor
        where += f", where trials take longer while other work has a load of {load:.1f}"
    return Timing(estimates, [machine], where, share)


def _timed_on_cluster(trials: Sequence[Trial], start: Start) -> Timing:
    """Return the estimates that the cluster makes, where each has the resources of a trial."""
    from mixlab.cluster import connect, nodes, packing

    with connect.connected(start.options.address, start.train.train) as resources:
        where = f"the cluster ({', '.join(counted(f'{resources.get(kind, 0):g}', kind) for kind in ('CPU', 'GPU'))})"
        share = packing.share_of(trials, start.train, resources, start.options, start.console)
        estimate = partial(_estimate, train=start.train, data_root=Path(start.options.data_root).absolute())
        with start.console.status(TIMING):
            estimates = connect.map_on(estimate, [trial.settings for trial in trials], share)
        return Timing(estimates, nodes.resources(), where, share)


def _estimate(settings: Any, train: CompleteTrainable, data_root: Path) -> Estimate:
    try:
        return train.estimate_seconds(settings, data_root)
    except Exception as error:
        return last_line(account_of(error))


def _kind(trial: Trial, train: CompleteTrainable) -> tuple[str, ...]:
    """Return the settings on which the time of a trial depends: the keys that the trainable names, or all."""
    keys: Iterable[str] = train.timed or sorted(trial.config)
    return tuple(str(trial.config.get(key)) for key in keys)
