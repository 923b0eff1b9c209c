"""The spec of a search: a study whose arms are tuned first, each by itself and with an equal budget.

The difference between the arms is the question; the space holds what must be right for an arm to show its
worth. Each arm is therefore tuned by itself, over the same space, with the same number of trials, on what the trainable
holds out, if anything, and only the winners, trained again on fresh seeds and the full training set, are compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from mixlab.errors import BadInput, require_known
from mixlab.spec import space as ranges
from mixlab.spec import user_input
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.space import Space
from mixlab.spec.study import Cell, Study
from mixlab.spec.trainable import Config
from mixlab.spec.trial import Trial, cell_name, digest
from mixlab.spec.user_input import checked_arguments

# name: module and function of what proposes configurations, which is imported when a search begins
SAMPLERS = {
    "tpe": "mixlab.search.samplers:tpe",
    "qmc": "mixlab.search.samplers:qmc",
    "gp": "mixlab.search.samplers:gp",
    "random": "mixlab.search.samplers:random",
    "grid": "mixlab.search.samplers:random",  # its points are queued beforehand, and nothing is left to propose
}
SCHEDULERS = ("none", "asha", "hyperband", "median")
DIRECTIONS = ("maximize", "minimize")
# Attributes of a trial in Optuna.
ANSWER = "mixlab.answer"  # a failed trial has it if its failure is an answer about the configuration, and no fault
INSTEAD = "mixlab.instead_of"  # the number of an earlier trial that failed by a fault, which it tries again
RACE = "mixlab.race"  # its result with each seed, and why it gets no more
TWIN = "mixlab.same_as"  # the number of an earlier trial with the same key, whose result it took


@dataclass(frozen=True, kw_only=True)
class SearchTrial(Trial):
    """One configuration that the search tries; ``seed`` is the first of its seeds."""

    number: int  # within its cell, from 0
    seeds: tuple[int, ...]
    objective: str  # the metric that is reported as a mean over the seeds

    @property
    def name(self) -> str:
        """Return the name of the trial for people."""
        return f"{self.cell} · trial {self.number}"


@checked_arguments
@dataclass(frozen=True, kw_only=True)
class Search:
    """A study whose arms are tuned first. The study's ``seeds`` are those of the confirmation, and fresh.

    For example:

        from mixlab import Arm, Choice, Float, Search, Study, main
        from trainables import classify
        study = Study(
            name="search_lr",
            base={"dataset": "cifar10", "backbone": "resnet20", "epochs": 60},
            arms=(Arm("mixup", {"mixer": "mixup"}), Arm("cutmix", {"mixer": "cutmix"})),
        )
        space = {"lr": Float(0.01, 0.5, log=True), "weight_decay": Choice(0.0, 1e-4, 5e-4)}
        main(Search(study=study, space=space, objective="val_top1", budget=40), classify.train)

    Where there are factors, each combination of an arm and levels is tuned by itself.

    Args:
        study: the arms to tune, and the comparison of the winners.
        space: the range of each configuration key; the same for every arm.
        budget: the number of configurations to try in all arms together, an equal number in each.
        objective: the metric to optimise, reported after every epoch; by default the first that the trainable lets a
            search optimise.
        direction: ``maximize`` or ``minimize``; by default that of the metric.
        sampler: one of ``SAMPLERS``; each arm has its own.
        scheduler: one of ``SCHEDULERS``; all but ``none`` stop a trial early, by comparison within its arm.
        search_seeds: each configuration is trained with all of them, and its objective is their mean. Where the study
            is sequential, a configuration begins with the first and gets more only while it may still be the best of
            its arm.
        tuning: the keys that only the search's own runs change in the base, by default those that the trainable calls
            held out; the confirmation runs without them.
        concurrent: the most trials at a time, of which there are never more than there is room for.
        budgets: the budget of each preset, by its name.
    """

    study: Study
    space: Space
    budget: int
    objective: str = ""
    direction: str = ""
    sampler: str = "tpe"
    scheduler: str = "asha"
    search_seeds: Sequence[int] = (1000,)
    tuning: Config | None = None
    concurrent: int | None = None
    budgets: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "search_seeds", user_input.seeds(self.search_seeds))

    @property
    def name(self) -> str:
        """Return the name of the study."""
        return self.study.name

    def completed(self, train: CompleteTrainable) -> "Search":
        """Return the same search with the trainable's defaults for the fields that the search leaves open."""
        tuning = dict(train.held_out) if self.tuning is None else self.tuning
        objective = self.objective
        if not objective:
            objective = next(iter(train.objectives({**self.study.base, **tuning})), "")
        metric = train.find(objective)
        lower = metric is not None and metric.higher_is_better is False
        direction = self.direction or ("minimize" if lower else "maximize")
        return replace(self, objective=objective, direction=direction, tuning=tuning)

    def with_fixed(self, held_out: Config, **changes: Any) -> "Search":
        """Return the same search with these keys fixed in every cell.

        A key that the trainable holds out concerns tuning alone if the search tunes with it.
        """
        mine = dict(self.tuning or {})
        tuning = {key: changes.get(key, value) for key, value in mine.items()}
        shared = {key: value for key, value in changes.items() if key not in mine or key not in held_out}
        return replace(self, study=self.study.with_fixed(**shared), tuning=tuning)

    @property
    def per_cell(self) -> int:
        """Return the number of trials of each cell."""
        return self.budget // len(self.study.cells())

    @property
    def racing(self) -> bool:
        """Return whether configurations get more seeds only while they may still be the best of their arm."""
        return self.study.sequential and len(self.search_seeds) > 1

    @property
    def identity(self) -> str:
        """Return what distinguishes this search from its confirmation and from searches with another objective."""
        return digest([self.study.identity, dict(self.tuning or {}), self._definition(), self.direction])

    def config(self, cell: Cell, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return the configuration of a trial of ``cell``, before defaults."""
        return {**cell.config, **(self.tuning or {}), **point}

    def corners(self, cell: Cell, train: CompleteTrainable) -> list[SearchTrial]:
        """Return trials that show whether all of the space can be run in ``cell``, with every choice."""
        points = ranges.corners(self.space, train.resolve(self.config(cell, {})).flat)
        return [self.trial(cell, point, number, train) for number, point in enumerate(points)]

    def trial(self, cell: Cell, point: Mapping[str, Any], number: int, train: CompleteTrainable) -> SearchTrial:
        """Return the trial of ``cell`` at ``point``; its key depends only on what determines its numbers."""
        found = train.resolve(self.config(cell, point))
        seeds = tuple(self.search_seeds)
        mean_of = {"objective": self.objective} if len(seeds) > 1 else {}  # all else is the latest seed's own
        key = digest({"config": train.hashed(found.flat), "seeds": list(seeds), **mean_of})
        run = key, cell.arm, cell.levels, seeds[0], found.flat, found.settings
        return SearchTrial(*run, number=number, seeds=seeds, objective=self.objective)

    def holds_out(self, train: CompleteTrainable) -> bool:
        """Return whether its own runs are judged on data that the confirmation never sees."""
        return bool(train.held_out) and train.held_out.keys() <= (self.tuning or {}).keys()

    def history_name(self, cell: Cell, train: CompleteTrainable) -> str:
        """Return the name of the cell's Optuna study: trials that are comparable, and only they, are in one."""
        hashed = train.hashed(train.resolve(self.config(cell, {})).flat)
        return f"{self.name}/{cell.name}/{digest([hashed, self._definition(), self.direction])}"

    def confirmation(self, winners: Mapping[str, Mapping[str, Any]]) -> Study:
        """Return the study with each cell's winning point: its factors and baselines, fresh seeds, nothing held out.

        A cell without a winner, by its name, is left out, and so are all cells that are compared with it.
        """
        against = {arm.name: arm.against or self.study.baseline for arm in self.study.arms}

        def compared(levels: Mapping[str, str], arm: str) -> bool:
            won = cell_name(levels.values(), arm) in winners
            return won and (arm == self.study.baseline or compared(levels, against[arm]))

        left = [cell.name for cell in self.study.cells() if compared(cell.levels, cell.arm)]
        return replace(self.study, tuned={name: dict(winners[name]) for name in left}, search=self.identity)

    def check_fields(self) -> None:
        """Raise ``BadInput``, one sentence, for a field that has the wrong type."""
        ranges.check_space(self.space)
        user_input.require_seeds(self.search_seeds, "a search")
        user_input.check_fields(self, "a search")
        user_input.configuration(self.tuning or {}, "the tuning of a search")
        user_input.require_count("the budget of a search", self.budget)
        for preset, budget in self.budgets.items():
            user_input.require_count(f"the budget of the preset {preset!r}", budget)
        if self.concurrent is not None:
            user_input.require_count("the most trials at a time", self.concurrent)

    def check(self, train: CompleteTrainable) -> None:
        """Raise ``BadInput``, one sentence, for whatever can be known to fail before anything starts."""
        self.check_fields()
        self.study.check(train)
        require_known("sampler", self.sampler, SAMPLERS)
        require_known("scheduler", self.scheduler, SCHEDULERS)
        require_known("direction", self.direction, DIRECTIONS)
        arms = len(self.study.cells())
        user_input.require_few("the budget of a search is", self.budget)
        if self.budget < arms:
            raise BadInput(f"a budget of {self.budget} is below the number of arms, {arms}: each needs one or more")
        if self.budget % arms:
            down = self.budget - self.budget % arms
            text = f"a budget of {self.budget} trials cannot be divided equally among {arms} arms"
            raise BadInput(f"{text}: give {down} or {down + arms}")
        if both := set(self.search_seeds) & set(self.study.seeds):
            raise BadInput(f"seed {min(both)} is both of the search and of the confirmation, whose seeds must be fresh")
        for cell in self.study.cells():
            self._check_cell(cell, train)

    def _check_cell(self, cell: Cell, train: CompleteTrainable) -> None:
        for key in self.space:
            if key in cell.changes:
                raise BadInput(
                    f"{key} is in the space of the search and fixed by {cell.name!r}: it must be in one of them"
                )
        bare = self.config(cell, {})
        known = train.resolve(bare).flat
        self._check_held_out(known, train)
        objectives = train.objectives(bare)
        if self.objective not in objectives and train.find(self.objective) is not None:
            readable = "of held-out data, which is all that a search reads"
            wanted = readable if train.held_out else "for a search to optimise"
            valid = " or ".join(map(repr, objectives))
            raise BadInput(f"the objective {self.objective!r} is not {wanted}: use {valid}")
        require_known("objective", self.objective, objectives)
        ranges.check_conditions(self.space, known)
        for trial in self.corners(cell, train):
            self._check_held_out(trial.config, train)
        if self.sampler == "grid":
            ranges.grid(self.space, known)

    def _check_held_out(self, flat: Config, train: CompleteTrainable) -> None:
        """Refuse to judge on data other than the held-out part; only the size of that part may change."""
        for key, wanted in train.held_out.items():
            if isinstance(wanted, str) and flat.get(key) != wanted:
                raise BadInput(f"a search judges held-out data: {key} must be {wanted!r}, got {flat.get(key)!r}")

    def _definition(self) -> list[Any]:
        spec = {key: [type(values).__name__, asdict(values)] for key, values in self.space.items()}
        return [spec, self.objective, list(self.search_seeds), *(["racing"] if self.racing else [])]
