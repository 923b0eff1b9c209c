"""How many trials a cell of a search gets, and which points of a grid are left."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial

from mixlab.spec import space
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import Search
from mixlab.spec.study import Cell


def budget(search: Search, cell: Cell, train: CompleteTrainable, trials: Sequence[FrozenTrial]) -> int:
    """Return the number of trials of a cell, with those that it has; a grid ends when all its points were tried."""
    if search.sampler != "grid":
        return search.per_cell
    return min(search.per_cell, len(trials) + len(points_left(search, cell, train, trials)))


def points_left(
    search: Search, cell: Cell, train: CompleteTrainable, trials: Sequence[FrozenTrial]
) -> list[space.Point]:
    """Return the points of the grid that none of the cell's ``trials`` has, whichever sampler proposed these."""
    tried = {frozenset(trial.params.items()) for trial in trials}
    points = space.grid(search.space, train.resolve(search.config(cell, {})).flat)
    return [point for point in points if frozenset(point.items()) not in tried]
