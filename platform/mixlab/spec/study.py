"""The spec of a study: one base, arms as differences from it, factors, seeds; and the trials that it stands for.

Every arm runs the same seeds, so that every gain is a paired comparison.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mixlab.errors import BadInput, require_known
from mixlab.spec import border
from mixlab.spec.trainable import CompleteTrainable, Config, complete
from mixlab.spec.trial import Trial, cell_name, digest, trial_key

Level = Mapping[str, Any]  # the keys that a factor's level changes in the base

FAMILIES = ("study", "table")
FIRST_ROUND = 4  # the seeds that every arm runs before any comparison may be decided
UNDECIDED = "not decided"  # the verdict on a comparison that needs more seeds


@dataclass(frozen=True)
class Arm:
    """One treatment.

    Args:
        name: its name in the table.
        changes: the keys that it changes in the base.
        against: the name of the arm that it is compared with, if that is not the baseline.
        control: whether the arm only shows what else a treatment changes, and makes no claim of its own.
        signs: in a factorial design, whether each term is on (1) or off (-1).
    """

    name: str
    changes: Config
    against: str | None = None
    control: bool = False
    signs: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """A row of a table: an arm with one level of each factor."""

    levels: Mapping[str, str]  # factor to level
    arm: str
    config: Config  # before defaults
    changes: Config  # the part of it that the levels and the arm set

    @property
    def name(self) -> str:
        """Return the levels and the arm, such as ``cutmix · + lam``."""
        return cell_name(self.levels, self.arm)


@dataclass(frozen=True, kw_only=True)
class Study:
    """One table or figure of a paper.

    Args:
        name: the name of the MLflow experiment and of the folder of results.
        base: the configuration that every trial starts from, with dotted keys.
        arms: the rows of the table; the first is the baseline.
        factors: the levels of each key: plain values of that key, or a mapping from a label to the keys
            that the level changes, such as ``{"fmix": {"mixer": "fmix", "sumix.zeta": 1.0}}``.
        seeds: the seeds, all of which every arm runs.
        metric: the metric that the table compares; by default that of the trainable.
        family: the comparisons over which the error rate holds: ``study``, all tables, or ``table``, each by itself.
        delta: the smallest difference that matters, in the units of the metric, for claims that two arms are alike.
        sequential: whether seeds are added one after another until every comparison is decided; ``seeds`` are then the
            most that an arm gets.
        settings: keys that a paper sets for each cell, such as a weight by data set, network and mixer: a function of
            the cell's configuration. The cell's arm, and whatever the command line sets, wins over it.
        presets: by the name of a preset, the keys that it changes in this study besides those that it changes in all.
        fixed: keys of a preset or of the command line. They win over the base, the levels and ``settings``.
        tuned: by the name of a cell, the point that a search has found for it. It wins over everything, and a cell
            without one is left out; None if nothing was tuned.
    """

    name: str
    base: Config
    arms: Sequence[Arm]
    factors: Mapping[str, Sequence[Any] | Mapping[str, Level]] = field(default_factory=dict)
    seeds: Sequence[int] = range(6)
    metric: str = ""
    family: str = "study"
    delta: float | None = None
    sequential: bool = False
    settings: Callable[[Config], Config] = field(default=lambda config: {})
    presets: Mapping[str, Config] = field(default_factory=dict)
    fixed: Config = field(default_factory=dict)
    tuned: Mapping[str, Config] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", border.seeds(self.seeds))

    @property
    def baseline(self) -> str:
        """Return the name of the arm that gains are measured against, unless an arm names another."""
        return self.arms[0].name

    def levels(self, factor: str) -> dict[str, Level]:
        """Return the levels of a factor, from each label to the keys that it changes.

        If a factor's own key is fixed, it has that one level. Of other levels that differ only in fixed keys, the
        first stays.
        """
        if factor in self.fixed:
            return {str(self.fixed[factor]): {}}
        given = self.factors[factor]
        levels = given if isinstance(given, Mapping) else {str(value): {factor: value} for value in given}
        different: dict[str, Level] = {}
        for label, level in levels.items():
            free = {key: value for key, value in level.items() if key not in self.fixed}
            if free not in different.values():
                different[label] = free
        return different

    def with_base(self, **changes: Any) -> "Study":
        """Return the same study with a changed base; keys with dots are passed as ``**{"mixer.alpha": 0.2}``."""
        return replace(self, base={**self.base, **changes})

    def with_fixed(self, **changes: Any) -> "Study":
        """Return the same study with these keys fixed in every cell, unless an arm changes them."""
        return replace(self.with_base(**changes), fixed={**self.fixed, **changes})

    def with_seeds(self, seeds: Sequence[int]) -> "Study":
        """Return the same study with these seeds."""
        return replace(self, seeds=seeds)

    def with_arms(self, names: Iterable[str]) -> "Study":
        """Return the study with only these arms, and those that they are compared with."""
        wanted = {self.baseline}
        by_name = {arm.name: arm for arm in self.arms}
        for name in names:
            require_known("arm", name, by_name)
            while name not in wanted:
                wanted.add(name)
                name = by_name[name].against or self.baseline
        return replace(self, arms=[arm for arm in self.arms if arm.name in wanted])

    def with_levels(self, factor: str, labels: Sequence[str]) -> "Study":
        """Return the study with only these levels of ``factor``, in this order.

        A label that the study does not have is a value of the key.
        """
        if not labels:
            raise BadInput(f"no level of the factor {factor} is named: give at least one")
        have = replace(self, fixed={}).levels(factor) if factor in self.factors else {}
        chosen = {label: have.get(label, {factor: label}) for label in labels}
        fixed = {key: value for key, value in self.fixed.items() if key != factor}
        return replace(self, factors={**self.factors, factor: chosen}, fixed=fixed)

    def cells(self) -> list[Cell]:
        """Return every combination of levels and arm, in the order of the factors and arms."""
        found = []
        for labels in itertools.product(*(self.levels(factor) for factor in self.factors)):
            levels = dict(zip(self.factors, labels, strict=True))
            changes: dict[str, Any] = {}
            for factor, label in levels.items():
                changes |= self.levels(factor)[label]
            merged = {**self.base, **changes}
            for arm in self.arms:
                name = cell_name(levels, arm.name)
                if self.tuned is not None and name not in self.tuned:
                    continue
                own = {**arm.changes, **(self.tuned or {}).get(name, {})}
                config = {**merged, **self.settings({**merged, **own}), **self.fixed, **own}
                found.append(
                    Cell(levels, arm.name, border.configuration(config, repr(name)), {**changes, **arm.changes})
                )
        return found

    @property
    def identity(self) -> str:
        """Return what distinguishes this plan from others of the same name, whatever its seeds."""
        arms = {arm.name: dict(arm.changes) for arm in self.arms}
        levels = {factor: self.levels(factor) for factor in self.factors}
        return digest({"base": dict(self.base), "arms": arms, "levels": levels})

    def check(self, train: CompleteTrainable) -> None:
        """Raise ``BadInput``, one sentence, for anything in the study that cannot be run."""
        border.require_folder_name("a study", self.name)
        border.configuration(self.base, "the base of a study")
        self._check_arms()
        self._check_factors()
        border.require_seeds(self.seeds, f"the study {self.name!r}")
        require_known("family", self.family, FAMILIES)
        if self.delta is not None and not (isinstance(self.delta, int | float) and 0 < self.delta < float("inf")):
            raise BadInput(f"delta must be a number above 0, in the units of the metric, got {self.delta!r}")
        if self.sequential and len(self.arms) < 2:
            raise BadInput(f"seeds until decided need a comparison, and {self.baseline!r} is the only arm: add another")
        if not isinstance(self.metric, str):
            raise BadInput(f"the metric of a study must be a name, got {self.metric!r}")
        if train.metrics and train.find(self.metric or train.metric) is None:
            require_known("metric", self.metric, [name for metric in train.metrics for name in metric.names])

    def _check_arms(self) -> None:
        border.require_sequence("the arms of a study", self.arms, 'Arm("baseline", {})')
        for arm in self.arms:
            if not isinstance(arm, Arm):
                raise BadInput(f"the arms of a study must be of the type Arm, got {arm!r}")
            border.require_name("an arm", arm.name)
            border.configuration(arm.changes, f"the arm {arm.name!r}")
        names = [arm.name for arm in self.arms]
        border.require_different(f"two arms of {self.name}", names)
        for arm in self.arms:
            if arm.against is not None:
                require_known(f"arm that {arm.name!r} is compared with,", arm.against, names)
        if self.arms[0].against is not None:
            raise BadInput(f"the baseline {self.baseline!r} is compared with nothing, got {self.arms[0].against!r}")
        if alone := [arm.name for arm in self.arms if arm.against == arm.name]:
            raise BadInput(f"the arm {alone[0]!r} is compared with itself: name another arm")

    def _check_factors(self) -> None:
        if not isinstance(self.factors, Mapping):
            raise BadInput(f"the factors of a study must be a mapping from keys to levels, got {self.factors!r}")
        for factor, given in self.factors.items():
            border.require_name("a factor", factor)
            if isinstance(given, Mapping):
                for label, level in given.items():
                    border.require_name(f"a level of {factor!r}", label)
                    border.configuration(level, f"the level {label!r} of {factor!r}")
                given = list(given)
            border.require_sequence(f"the levels of the factor {factor!r}", given, f'("{given}",)')
            border.require_different(f"two levels of the factor {factor!r}", map(str, given))

    def trials(self, train: Any) -> list[Trial]:
        """Return every trial after a check: cell by cell in the order of the factors and arms, seed by seed.

        Args:
            train: the trainable.

        Raises:
            BadInput: the study has a part that cannot be run, or two cells are the same run.
        """
        train = complete(train)
        self.check(train)
        names: dict[str, str] = {}
        trials = []
        cells = self.cells()
        border.require_different(f"two cells of {self.name}", [cell.name for cell in cells])
        for cell in cells:
            found = train.resolve(cell.config)
            hashed = train.hashed(found.flat)
            for seed in self.seeds:
                key = trial_key(hashed, seed)
                trials.append(Trial(key, cell.arm, cell.levels, seed, found.flat, found.settings))
            twin = names.setdefault(trials[-1].key, cell.name)
            if twin != cell.name:
                raise BadInput(f"{twin!r} and {cell.name!r} are the same configuration: an arm must change something")
        return trials

    def plan(self, trials: Sequence[Trial], preset: str, train: CompleteTrainable) -> dict[str, Any]:
        """Return what the analysis needs to know about the study, ready for JSON.

        Args:
            trials: the trials of the study.
            preset: the name of the preset with which it was started.
            train: the trainable.
        """
        return {
            "study": self.name,
            "preset": preset,
            "factors": list(self.factors),
            "arms": [arm.name for arm in self.arms],
            "baseline": self.baseline,
            "against": {arm.name: arm.against or self.baseline for arm in self.arms[1:]},
            "controls": [arm.name for arm in self.arms if arm.control],
            "design": self._design(),
            "metric": self.metric or train.metric,
            "metrics": [metric.json() for metric in train.metrics],
            "family": self.family,
            "delta": self.delta,
            "sequential": {"budget": len(self.seeds)} if self.sequential else None,
            "config": _shared(trials),
            "trials": [{"key": t.key, "arm": t.arm, "levels": dict(t.levels), "seed": t.seed} for t in trials],
        }

    def _design(self) -> dict[str, Any] | None:
        """Return the factorial design of the arms, if all but the controls belong to one."""
        signs = {arm.name: dict(arm.signs) for arm in self.arms if not arm.control}
        if not all(signs.values()):
            return None
        return {"kind": "factorial", "terms": list(self.arms[0].signs), "signs": signs}


def _shared(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the part that the configurations of all trials have in common."""
    first, *others = (trial.config for trial in trials)
    return {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
