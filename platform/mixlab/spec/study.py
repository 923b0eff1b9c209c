"""The spec of a study: one base, arms as differences from it, factors, seeds; and the trials that it stands for.

Every arm runs the same seeds, so that every gain is a paired comparison.
"""

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from mixlab.errors import BadInput, refused, require, require_known
from mixlab.spec import user_input
from mixlab.spec.arms import Arm, Level, levels_of, require_arms, require_factors
from mixlab.spec.complete import CompleteTrainable, complete
from mixlab.spec.trainable import Config
from mixlab.spec.trial import Trial, cell_name, digest, trial_key
from mixlab.spec.user_input import checked_arguments

FAMILIES = ("study", "table")
FIRST_ROUND = 4  # the seeds that every arm runs before any comparison may be decided
UNDECIDED = "not decided"  # the verdict on a comparison that needs more seeds


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
        return cell_name(self.levels.values(), self.arm)


@checked_arguments
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
        search: the identity of the search that has found them.
        tried: by the name of a cell, of how many trials of that search its point is the best.
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
    search: str = ""
    tried: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seeds", user_input.seeds(self.seeds))

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
        different: dict[str, Level] = {}
        for label, level in levels_of(factor, self.factors[factor]).items():
            free = {key: value for key, value in level.items() if key not in self.fixed}
            if free not in different.values():
                different[label] = free
        return different

    def all_presets(self, train: CompleteTrainable) -> dict[str, Config]:
        """Return the keys that each preset sets here, by its name; ``BadInput`` if one of the trainable's is wrong."""
        usual = {
            name: user_input.configuration(preset, f"the preset {name!r}") for name, preset in train.presets.items()
        }
        return {name: {**usual.get(name, {}), **self.presets.get(name, {})} for name in {**usual, **self.presets}}

    def with_base(self, **changes: Any) -> "Study":
        """Return the same study with a changed base; keys with dots are passed as ``**{"mixer.alpha": 0.2}``."""
        return replace(self, base={**self.base, **changes})

    def with_fixed(self, **changes: Any) -> "Study":
        """Return the same study with these keys fixed in every cell, unless an arm changes them."""
        return replace(self.with_base(**changes), fixed={**self.fixed, **changes})

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
        for label in labels:
            user_input.require_name(f"a level of {factor!r}", label)
        have = replace(self, fixed={}).levels(factor) if factor in self.factors else {}
        chosen = {label: have.get(label, {factor: label}) for label in labels}
        fixed = {key: value for key, value in self.fixed.items() if key != factor}
        return replace(self, factors={**self.factors, factor: chosen}, fixed=fixed)

    def cells(self) -> list[Cell]:
        """Return every combination of levels and arm, in the order of the factors and arms."""
        found = []
        for labels in itertools.product(*(self.levels(factor) for factor in self.factors)):
            levels = dict(zip(self.factors, labels, strict=True))
            changes = dict(each for factor, label in levels.items() for each in self.levels(factor)[label].items())
            merged = {**self.base, **changes}
            for arm in self.arms:
                name = cell_name(levels.values(), arm.name)
                if self.tuned is not None and name not in self.tuned:
                    continue
                own = {**arm.changes, **(self.tuned or {}).get(name, {})}
                config = {**merged, **self._settings_of(name, {**merged, **own}), **self.fixed, **own}
                config = user_input.configuration(config, repr(name))
                found.append(Cell(levels, arm.name, config, {**changes, **arm.changes}))
        return found

    @property
    def identity(self) -> str:
        """Return what distinguishes this plan from others of the same name, whatever its seeds."""
        arms = {arm.name: dict(arm.changes) for arm in self.arms}
        against = {arm.name: arm.against or self.baseline for arm in self.arms[1:]}
        levels = {factor: self.levels(factor) for factor in self.factors}
        searched = {"search": self.search} if self.search else {}
        return digest({"base": dict(self.base), "arms": arms, "against": against, "levels": levels, **searched})

    def check(self, train: CompleteTrainable) -> None:
        """Raise ``BadInput``, one sentence, for anything in the study that cannot be run."""
        user_input.require_study_name(self.name)
        user_input.configuration(self.base, "the base of a study")
        user_input.configuration(self.fixed, "what is fixed in a study")
        require_arms(self.name, self.arms)
        require_factors(self.factors)
        user_input.require_seeds(self.seeds, f"the study {self.name!r}")
        user_input.check_fields(self, f"the study {self.name!r}")
        for cell, point in (self.tuned or {}).items():
            user_input.configuration(point, f"the tuned point of {cell!r}")
        for name, preset in self.presets.items():
            user_input.require_name("a preset", name)
            user_input.configuration(preset, f"the preset {name!r}")
            if "seeds" in preset:
                user_input.require_count(f"seeds of the preset {name!r}", preset["seeds"])
        cells = math.prod(len(self.levels(factor)) for factor in self.factors) * len(self.arms)
        user_input.require_few(f"the study {self.name!r} has", cells * len(self.seeds))
        require_known("family", self.family, FAMILIES)
        fits = self.delta is None or 0 < self.delta < math.inf
        require(fits, "delta", "a number above 0, in the units of the metric", self.delta)
        if self.sequential and len(self.arms) < 2:
            raise BadInput(f"seeds until decided need a comparison, and {self.baseline!r} is the only arm: add another")
        if not train.metrics:
            raise BadInput("the trainable declares no metrics, so nothing can be compared: give it a tuple of Metric")
        if train.find(self.metric or train.metric) is None:
            require_known("metric", self.metric, [name for metric in train.metrics for name in metric.names])

    def _settings_of(self, name: str, config: Config) -> Config:
        """Return what ``settings`` sets in the cell ``name``."""
        with refused(f"the settings of {self.name} fail for {name!r}"):
            try:
                found = self.settings(config)
            except LookupError as error:
                raise BadInput(f"the settings of {self.name} have no entry for {name!r}: {error}") from error
        return user_input.configuration(found, f"what the settings of {self.name} return for {name!r}")

    def trials(self, train: Any, done: Collection[str] = ()) -> list[Trial]:
        """Return every trial after a check: cell by cell in the order of the factors and arms, seed by seed.

        A configuration of which all trials are ``done``, by their keys, is not rehearsed again.

        Raises:
            BadInput: the study has a part that cannot be run, or two cells are the same run.
        """
        train = complete(train)
        self.check(train)
        names: dict[str, str] = {}
        trials: list[Trial] = []
        ran = frozenset(done)
        cells = self.cells()
        if not cells:
            raise BadInput(f"no cell of {self.name} is left to run: none of {list(self.tuned or {})!r} is one")
        user_input.require_different(f"two cells of {self.name}", [cell.name for cell in cells])
        for cell in cells:
            found = train.read(cell.config)
            train.check_metric(found.settings, self.metric or train.metric)
            hashed = train.hashed(found.flat)
            keys = {seed: trial_key(hashed, seed) for seed in self.seeds}
            if not ran.issuperset(keys.values()):
                train.resolve(cell.config)
            trials += [
                Trial(key, cell.arm, cell.levels, seed, found.flat, found.settings) for seed, key in keys.items()
            ]
            if (twin := names.setdefault(trials[-1].key, cell.name)) != cell.name:
                raise BadInput(f"{twin!r} and {cell.name!r} are the same configuration: an arm must change something")
        self._check_presets(train, cells[-1].config)
        return trials

    def _check_presets(self, train: CompleteTrainable, config: Config) -> None:
        """Raise ``BadInput`` for a preset, chosen or not, with a key that a cell's configuration cannot have."""
        known = train.read(config).flat
        for name, preset in self.all_presets(train).items():
            own = {key: value for key, value in preset.items() if key != "seeds"}
            if not own.keys() <= known.keys():  # they are misspelt, or another key of the preset brings them
                try:
                    train.read({**config, **own})
                except BadInput as error:
                    raise BadInput(f"the preset {name!r} cannot be run: {error}") from error
