"""The spec of a search: a base, arms, a space, an objective on held-out images, and an equal budget for every arm.

What distinguishes the arms is the question; the space holds what has to be right for an arm to show its
worth. So each arm is tuned by itself, over the same space, with the same number of trials, and only
the winners, trained again on fresh seeds and the full training set, are compared.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mixlab.errors import BadInput, require_known
from mixlab.spec import space as ranges
from mixlab.spec.space import Space
from mixlab.spec.study import Arm, Cell, Config, Study, Trial, digest

SAMPLERS = ("tpe", "qmc", "gp", "random", "grid")
SCHEDULERS = ("none", "asha", "hyperband", "median")
DIRECTIONS = ("maximize", "minimize")
HELD_OUT: Config = {"validation": 0.1, "evaluate": "validation"}

Resolve = Callable[[Config], dict[str, Any]]
Objectives = Callable[[Config], Sequence[str]]


@dataclass(frozen=True)
class SearchTrial(Trial):
    """One configuration that the search tries; ``seed`` is the first of its seeds."""

    number: int  # within its cell, from 0
    seeds: tuple[int, ...]
    point: Mapping[str, Any]  # what the sampler chose

    @property
    def name(self) -> str:
        """How the trial is called where people read it."""
        return f"{self.cell} · trial {self.number}"

    @property
    def tags(self) -> dict[str, str]:
        """What MLflow finds the trial by."""
        return {**super().tags, "mixlab.trial": str(self.number)}


@dataclass(frozen=True, kw_only=True)
class Search(Study):
    """A study whose arms are tuned first. ``seeds`` are those of the confirmation, and fresh.

    To search anything else::

        from mixlab import Arm, Choice, Float, Search, main
        from trainables import classify
        study = Search(
            name="search_lr",
            base={"dataset": "cifar10", "backbone": "resnet20", "epochs": 60},
            arms=(Arm("mixup", {"mixer": "mixup"}), Arm("cutmix", {"mixer": "cutmix"})),
            space={"lr": Float(0.01, 0.5, log=True), "weight_decay": Choice(0.0, 1e-4, 5e-4)},
            budget=40,
        )
        main(study, classify.train)

    Where there are factors, each combination of an arm and levels is tuned as an arm by itself.

    Args:
        space: by configuration key, its range; the same for every arm.
        budget: configurations to try in all arms together, an equal number in each.
        objective: the metric to optimise, of the validation split, reported after every epoch.
        direction: ``maximize`` or ``minimize``.
        sampler: one of ``SAMPLERS``; each arm has its own.
        scheduler: one of ``SCHEDULERS``; all but ``none`` stop a trial early, by comparison within its arm.
        search_seeds: each configuration is trained with all of them, and its objective is their mean.
        tuning: what only the search's own runs change in the base; the confirmation runs without it.
        concurrent: the most trials at a time; as many as there is room for if None.
        budgets: by the name of a preset, its budget.
    """

    space: Space
    budget: int
    objective: str = "val_top1"
    direction: str = "maximize"
    sampler: str = "tpe"
    scheduler: str = "asha"
    search_seeds: Sequence[int] = (1000,)
    tuning: Config = field(default_factory=lambda: dict(HELD_OUT))
    concurrent: int | None = None
    budgets: Mapping[str, int] = field(default_factory=dict)

    def with_fixed(self, **changes: Any) -> "Search":
        """The same search with these keys the same in every cell; what is held out in tuning concerns tuning alone."""
        tuning = {key: changes.get(key, value) for key, value in self.tuning.items()}
        shared = {key: value for key, value in changes.items() if key not in tuning or key not in HELD_OUT}
        base, fixed = {**self.base, **shared}, {**self.fixed, **shared}
        return replace(self, base=base, fixed=fixed, tuning=tuning)

    @property
    def per_cell(self) -> int:
        """The trials of each cell."""
        return self.budget // len(self.cells())

    @property
    def identity(self) -> str:
        """Tells this search from its own confirmation and from searches that optimise something else."""
        return digest([super().identity, dict(self.tuning), self._definition(), self.direction])

    def config(self, cell: Cell, point: Mapping[str, Any]) -> dict[str, Any]:
        """What a trial of ``cell`` runs with, before defaults."""
        return {**cell.config, **self.tuning, **point}

    def trial(self, cell: Cell, point: Mapping[str, Any], number: int, resolve: Resolve) -> SearchTrial:
        """The trial of ``cell`` at ``point``; its key depends on the configuration and the seeds alone."""
        config = resolve(self.config(cell, point))
        seeds = tuple(self.search_seeds)
        key = digest({"config": config, "seeds": list(seeds)})
        return SearchTrial(key, cell.arm, cell.levels, seeds[0], config, number, seeds, dict(point))

    def history_name(self, cell: Cell, resolve: Resolve) -> str:
        """Of the cell's Optuna study: trials that are comparable, and only they, are in one."""
        config = resolve(self.config(cell, {}))
        return f"{self.name}/{cell.name}/{digest([config, self._definition(), self.direction])}"

    def confirmation(self, winners: Mapping[str, Mapping[str, Any]]) -> Study:
        """The study that trains each cell's winning point again: fresh seeds, nothing held out.

        Args:
            winners: by the cell's name, its point; a cell without one is left out.
        """
        arms = [Arm(cell.name, {**cell.config, **winners[cell.name]}) for cell in self.cells() if cell.name in winners]
        return Study(name=self.name, base=self.base, arms=arms, seeds=self.seeds, metric=self.metric)

    def check(self, resolve: Resolve, objectives: Objectives | None = None) -> None:
        """Raise ``BadInput``, one sentence, for whatever can be known to fail before anything starts.

        Args:
            resolve: the trainable's.
            objectives: of a configuration, the metrics that may be optimised. Of a trainable that does not say, an
                objective that is not reported shows at the first epoch.
        """
        require_known("sampler", self.sampler, SAMPLERS)
        require_known("scheduler", self.scheduler, SCHEDULERS)
        require_known("direction", self.direction, DIRECTIONS)
        ranges.check(self.space)
        self._check_budget()
        if not self.search_seeds:
            raise BadInput("a search needs at least 1 seed for each configuration, got 0")
        if both := set(self.search_seeds) & set(self.seeds):
            raise BadInput(f"seed {min(both)} is both of the search and of the confirmation, whose seeds must be fresh")
        if self.objective.startswith("test"):
            raise BadInput(
                f"the objective {self.objective!r} is measured on the test set, which a search never reads: "
                "use a metric of the validation split, such as 'val_top1'"
            )
        for cell in self.cells():
            self._check_cell(cell, resolve)
            if objectives is not None:
                require_known("objective", self.objective, objectives(self.config(cell, {})))

    def _check_budget(self) -> None:
        arms = len(self.cells())
        if self.budget < arms:
            raise BadInput(
                f"a budget of {self.budget} trials is below the number of arms, {arms}: each needs one or more"
            )
        if self.budget % arms:
            down = self.budget - self.budget % arms
            raise BadInput(
                f"a budget of {self.budget} trials cannot be divided equally among {arms} arms: "
                f"give {down} or {down + arms}"
            )
        if self.concurrent is not None and self.concurrent < 1:
            raise BadInput(f"the trials at a time must be at least 1, got {self.concurrent}")

    def _check_cell(self, cell: Cell, resolve: Resolve) -> None:
        for key in self.space:
            if key in cell.changes:
                raise BadInput(
                    f"{key} is in the space of the search and fixed by {cell.name!r}: it must be in one of them"
                )
        for point in ranges.corners(self.space, self.config(cell, {})):
            try:
                resolved = resolve(self.config(cell, point))
            except ValueError as error:
                raise BadInput(str(error)) from error
            if resolved.get("evaluate", "validation") != "validation":
                found = resolved["evaluate"]
                raise BadInput(f"a search never reads the test set: evaluate must be 'validation', got {found!r}")
        if self.sampler == "grid":
            ranges.grid(self.space, self.config(cell, {}))

    def _definition(self) -> list[Any]:
        spec = {key: [type(values).__name__, asdict(values)] for key, values in self.space.items()}
        return [spec, self.objective, list(self.search_seeds)]
