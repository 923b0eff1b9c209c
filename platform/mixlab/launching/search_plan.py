"""Prints how much of a search has been tried, and lists what is left of its budget."""

from mixlab.launching.cost import Left
from mixlab.launching.start import Start
from mixlab.messages import say
from mixlab.search.states import WORDS, begun, budget
from mixlab.search.trial_store import url_of
from mixlab.spec import space
from mixlab.spec.search import Search
from mixlab.spec.state import State


def left_of_search(search: Search, start: Start) -> list[Left]:
    """Return the trials that are left to propose, each at the same corner of the space, and print their number."""
    train, console = start.train, start.console
    url = url_of(start.options.optuna_storage, start.folder)
    left, total = [], 0
    seeds = len(search.search_seeds)
    for cell in search.study.cells():
        trials = begun(search, cell, train, url)
        found, size = [WORDS[trial.state] for trial in trials], budget(search, cell, train, trials)
        words = ", ".join(f"{found.count(state)} {state.value}" for state in State if found.count(state))
        total += size
        todo = max(0, size - sum(state.over for state in found))
        say(console, f"{cell.name}: {words or 'nothing tried'}, {todo} of {size} left")
        point = next(space.corners(search.space, train.resolve(search.config(cell, {})).flat))
        left += [Left(search.trial(cell, point, number, train), times=seeds) for number in range(todo)]
    if search.racing:
        say(
            console,
            f"Each trial begins with 1 of {seeds} seeds and gets more only while it may still be the best of its arm: "
            "the cost that follows is the most that there can be",
        )
    early = "none stopped early" if search.scheduler == "none" else f"stopped early by {search.scheduler}"
    proposed = f"{total} trials proposed by {search.sampler}, {early}"
    winners = f"{len(search.study.cells())} winners on {len(search.study.seeds)} fresh seeds"
    say(console, f"{proposed}; then {winners}", style="bold")
    return left
