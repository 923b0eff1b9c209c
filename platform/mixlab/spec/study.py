"""The spec of a study: one base, arms as differences from it, factors, seeds; and the trials it stands for.

Every arm runs the same seeds, so that every gain is a paired comparison. A trial's key is a hash of
what determines its numbers: the whole configuration and the seed, and nothing else.
"""

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from mixlab.errors import BadInput, require_known
from mixlab.spec.metric import Metric

Config = Mapping[str, Any]
Level = Mapping[str, Any]  # what a factor's level changes in the base


@dataclass(frozen=True)
class Arm:
    """One treatment.

    Args:
        name: its name in the table.
        changes: what it changes in the base.
        against: the name of the arm that it is compared with, if that is not the baseline.
        control: the arm shows what else a treatment changes; it makes no claim of its own.
        signs: in a factorial design, by term, whether it is on (1) or off (-1).
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
    changes: Config  # of the config, what the levels and the arm say

    @property
    def name(self) -> str:
        """Such as ``cutmix · + lam``."""
        return " · ".join((*self.levels.values(), self.arm))


HOW = ("data", "hardware")  # reported by a trainable in words: how its numbers were obtained
NOT_METRICS = ("epoch", "epochs", *HOW)  # reported, but no curve


class Trainable(Protocol):
    """What a study trains. ``trainables.classify.train`` is one."""

    presets: Mapping[str, Mapping[str, Any]]  # by name: configuration keys, and "seeds"

    def __call__(self, config: Config, seed: int, report: Callable[..., None], resume_from: Any) -> Mapping[str, Any]:
        """Train once; ``report(metrics, save)`` after every epoch; the metrics of the last epoch.

        Of every epoch, beside the curves, ``epoch``, ``epochs``, and in words ``data`` and ``hardware``.
        """

    def resolve(self, config: Config) -> dict[str, Any]:
        """The whole configuration with defaults; ``ValueError``, one sentence, for what cannot be run."""

    def prepare(self, config: Config, data_root: Any) -> None:
        """Have the data set under ``data_root``; an exception with one sentence where that fails."""

    def estimate_seconds(self, config: Config) -> float:
        """Roughly how long a run takes on this machine."""

    def gpu_memory(self, config: Config) -> tuple[float, float]:
        """MiB that a run needs on this machine's GPU, measured, and MiB that are free there; ``data_root`` is a key.

        ``ValueError``, one sentence, where no run fits. Asked for only when a study is to pack GPUs.
        """


@dataclass(frozen=True)
class Trial:
    """One training run of a study."""

    key: str
    arm: str
    levels: Mapping[str, str]  # factor to level
    seed: int
    config: Config  # resolved

    @property
    def cell(self) -> str:
        """The row of the run among its seeds, such as ``cutmix · + lam``."""
        return " · ".join((*self.levels.values(), self.arm))

    @property
    def name(self) -> str:
        """How the run is called where people read it."""
        return f"{self.cell} · seed {self.seed}"

    @property
    def tags(self) -> dict[str, str]:
        """What MLflow finds the run by."""
        return {"mixlab.key": self.key, "mixlab.arm": self.arm, "mixlab.seed": str(self.seed)}


@dataclass(frozen=True, kw_only=True)
class Study:
    """One table or figure of a paper.

    Args:
        name: names the MLflow experiment and the folder of the results.
        base: the configuration that every trial starts from, dotted keys.
        arms: the rows of the table; the first is the baseline.
        factors: by key, its levels: plain values of that key, or a mapping from a label to the keys
            that the level changes, such as ``{"fmix": {"mixer": "fmix", "sumix.zeta": 1.0}}``.
        seeds: every arm runs all of them.
        metric: what the table compares.
        family: over which comparisons the error rate holds: ``study``, all of its tables, or ``table``, each by itself.
        delta: the smallest difference that matters, in the units of the metric, for claims that two arms are alike.
        settings: keys that a paper sets by the cell, such as a weight by data set, network and mixer: a function of
            the configuration of the base and the levels. An arm, and whatever the command line sets, comes after it.
        presets: by the name of a preset, what it changes in this study besides what it changes in all.
        fixed: keys of a preset or of the command line. They win over the base, the levels and ``settings``.
    """

    name: str
    base: Config
    arms: Sequence[Arm]
    factors: Mapping[str, Sequence[Any] | Mapping[str, Level]] = field(default_factory=dict)
    seeds: Sequence[int] = range(6)
    metric: str = "test_top1_median10"
    family: str = "study"
    delta: float | None = None
    settings: Callable[[Config], Config] = field(default=lambda config: {})
    presets: Mapping[str, Config] = field(default_factory=dict)
    fixed: Config = field(default_factory=dict)

    @property
    def baseline(self) -> str:
        """The arm that every gain is measured against."""
        return self.arms[0].name

    def levels(self, factor: str) -> dict[str, Level]:
        """The levels of a factor: label to the keys that it changes.

        A factor whose own key is fixed has that one level. Of others that differ in nothing but fixed keys the
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
        """The same study from a changed base; keys with dots go in as ``**{"mixer.alpha": 0.2}``."""
        return replace(self, base={**self.base, **changes})

    def with_fixed(self, **changes: Any) -> "Study":
        """The same study with these keys the same in every cell, unless an arm changes them."""
        return replace(self.with_base(**changes), fixed={**self.fixed, **changes})

    def with_seeds(self, seeds: Sequence[int]) -> "Study":
        """The same study with these seeds."""
        return replace(self, seeds=seeds)

    def with_arms(self, names: Iterable[str]) -> "Study":
        """Only these arms; the baseline always stays, for there is no gain without it."""
        wanted = list(names)
        for name in wanted:
            require_known("arm", name, [arm.name for arm in self.arms])
        return replace(self, arms=[arm for arm in self.arms if arm.name in wanted or arm.name == self.baseline])

    def with_levels(self, factor: str, labels: Sequence[str]) -> "Study":
        """Only these levels of ``factor``, in this order; a label the study does not have is a value of the key."""
        have = replace(self, fixed={}).levels(factor) if factor in self.factors else {}
        chosen = {label: have.get(label, {factor: label}) for label in labels}
        fixed = {key: value for key, value in self.fixed.items() if key != factor}
        return replace(self, factors={**self.factors, factor: chosen}, fixed=fixed)

    def cells(self) -> list[Cell]:
        """Every combination of levels and arm, in the order of the factors and arms."""
        found = []
        for labels in itertools.product(*(self.levels(factor) for factor in self.factors)):
            levels = dict(zip(self.factors, labels, strict=True))
            changes: dict[str, Any] = {}
            for factor, label in levels.items():
                changes |= self.levels(factor)[label]
            merged = {**self.base, **changes}
            for arm in self.arms:
                config = {**merged, **self.settings(merged), **self.fixed, **arm.changes}
                found.append(Cell(levels, arm.name, config, {**changes, **arm.changes}))
        return found

    @property
    def identity(self) -> str:
        """Tells this plan from others of the same name, whatever its arms and seeds."""
        return digest({"base": dict(self.base)})

    def trials(self, resolve: Callable[[Config], dict[str, Any]]) -> list[Trial]:
        """Every trial, checked: cell by cell in the order of the factors and arms, seed by seed.

        Raises:
            BadInput: a configuration is refused, two cells are the same run, or there is nothing to run.
        """
        if not self.seeds:
            raise BadInput("a study needs at least 1 seed, got 0")
        if len({arm.name for arm in self.arms}) < len(self.arms):
            raise BadInput(f"two arms of {self.name} have the same name: {', '.join(arm.name for arm in self.arms)}")
        names: dict[str, str] = {}
        trials = []
        for cell in self.cells():
            try:
                found = resolve(cell.config)
            except ValueError as error:
                raise BadInput(str(error)) from error
            config = getattr(found, "flat", found)
            for seed in self.seeds:
                trials.append(Trial(trial_key(config, seed), cell.arm, cell.levels, seed, config))
            twin = names.setdefault(trials[-1].key, cell.name)
            if twin != cell.name:
                raise BadInput(f"{twin!r} and {cell.name!r} are the same configuration: an arm must change something")
        return trials

    def plan(self, trials: Sequence[Trial], preset: str, metrics: Sequence[Metric] = ()) -> dict[str, Any]:
        """Return what the analysis needs to know of the study, ready for JSON.

        Args:
            trials: of the study.
            preset: by whose name it was started.
            metrics: those of the trainable.
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
            "metric": self.metric,
            "metrics": [metric.json() for metric in metrics],
            "family": self.family,
            "delta": self.delta,
            "sequential": None,
            "trials": [{"key": t.key, "arm": t.arm, "levels": dict(t.levels), "seed": t.seed} for t in trials],
        }

    def _design(self) -> dict[str, Any] | None:
        """Return the factorial design of the arms, if they are of one."""
        signs = {arm.name: dict(arm.signs) for arm in self.arms}
        if not all(signs.values()):
            return None
        return {"kind": "factorial", "terms": list(self.arms[0].signs), "signs": signs}


def trial_key(config: Config, seed: int) -> str:
    """16 hexadecimal digits of the SHA-256 of the resolved configuration and the seed."""
    return digest({"config": dict(config), "seed": seed})


def digest(value: Any) -> str:
    """16 hexadecimal digits that identify any JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
