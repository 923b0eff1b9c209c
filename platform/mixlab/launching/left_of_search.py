"""Says what is left of a search: the trials to propose, and then the winners' runs."""

from collections.abc import Collection, Mapping
from typing import Any

from mixlab.launching.phase import Left
from mixlab.launching.start import Start
from mixlab.messages import counted, say
from mixlab.search.drivers import Drivers
from mixlab.search.history import DRIVER, Found
from mixlab.search.trial_store import WORDS, begun, best_of, budget, existing, faults, standing, url_of
from mixlab.spec.search import Search
from mixlab.spec.study import Study
from mixlab.spec.trial import State


def left_of_search(search: Search, start: Start, done: Collection[str]) -> tuple[list[Left], Study | None]:
    """Return what is left while there are trials to propose, and the study of the winners; print how many trials.

    The trials are at the corners of the space in turn. Of an arm for which there are some, the winner's runs are those
    of the untuned arm; of the others, those that are not among the ``done`` keys. Once no trial is left to propose,
    nothing is returned as left, and the study is that of the winners, or None if there is none.
    """
    train, console = start.train, start.console
    store = existing(url_of(start.options.optuna_storage, start.folder), search.name)
    of_drivers = begun(store, search.name)
    drivers = Drivers(of_drivers) if of_drivers else None
    left, total = [], 0
    best: dict[str, Mapping[str, Any]] = {}
    seeds = len(search.search_seeds)
    cells = search.study.cells()
    for cell in cells:
        study = begun(store, search.history_name(cell, train))
        trials = standing(study.get_trials(deepcopy=False)) if study else []
        states, due = [_state(trial, drivers) for trial in trials], budget(search, cell, train, trials)
        words = ", ".join(f"{states.count(state)} {state.value}" for state in State if state in states)
        todo = max(0, due - sum(state.over for state in states)) + len(faults(trials))
        size = max(due, len(trials))  # an earlier budget may have been larger
        total += size
        if study and not todo and (winner := best_of(study)):
            best[cell.name] = winner.params
        say(console, f"{cell.name}: {words or 'nothing tried'}, {todo} of {size} left")
        corners = search.corners(cell, train)
        left += [Left(corners[number % len(corners)], times=seeds) for number in range(todo)]
    if search.racing:
        say(
            console,
            f"Each trial begins with 1 of {seeds} seeds and gets more only while it may still be the best of its arm",
        )
    known = search.confirmation(best)
    winners = len(cells if left else known.tuned or ())
    of_winners = f"then {counted(winners, 'winner')} on {_fresh_seeds(search.study)}"
    if not winners:
        of_winners = "no trial was completed, so there is nothing to confirm"
    say(console, f"{_proposal(search, total)}; {of_winners}", style="bold")
    stopped = search.racing or search.scheduler != "none"
    most = ["every trial to its end"] * stopped + ["every seed of the winners"] * search.study.sequential
    if left and most:
        say(console, f"The cost that follows counts {' and '.join(most)}, as if none was stopped early")
    if winners:
        say(console, "The winners' runs, which the tables compare:")
    if not left:
        return [], known if winners else None
    of_known = known.trials(train, done) if known.tuned else []
    settled = {trial.cell for trial in of_known}
    left += [Left(trial) for trial in search.study.trials(train) if trial.cell not in settled]
    left += [Left(trial) for trial in of_known if trial.key not in done]
    return left, search.study


def _state(trial: Found, drivers: Drivers | None) -> State:
    """Return the state of a trial; one whose driver was killed is interrupted, whatever it has left in the store."""
    state = WORDS[trial.state]
    if state is State.RUNNING and not (drivers and drivers.alive(trial.user_attrs.get(DRIVER, ""))):
        return State.INTERRUPTED
    return state


def _fresh_seeds(study: Study) -> str:
    most = "at most " if study.sequential else ""
    return most + counted(len(study.seeds), "fresh seed")


def _proposal(search: Search, total: int) -> str:
    """Return in words how so many trials are proposed."""
    early = "none stopped early" if search.scheduler == "none" else f"stopped early by {search.scheduler}"
    proposal = f"{counted(total, 'trial')} of {', '.join(search.space)} proposed by {search.sampler}, {early}"
    tuning = ", ".join(f"{key}={value}" for key, value in (search.tuning or {}).items())
    return f"{proposal}, with {tuning}" if tuning else proposal
