"""The phase of a study that adds seeds until every comparison is decided: ``--until decided``."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mixlab.cluster.source import End, Job
from mixlab.launching.phase import ListedTrials
from mixlab.launching.start import Start
from mixlab.messages import counted
from mixlab.spec.epoch import Epoch
from mixlab.spec.study import FIRST_ROUND, UNDECIDED, Study
from mixlab.spec.trial import State, Trial, cell_name
from mixlab.tracking import names

Comparison = tuple[tuple[str, ...], str]  # the level of each factor, and the arm
Decide = Callable[[Mapping[str, Any], pd.DataFrame], Mapping[Comparison, str]]


@dataclass
class Rounds:
    """The trials that are due, as a function of the results alone.

    The first round is a few seeds of every arm; each further one is a seed of every arm that is not decided and of the
    arms that those are compared with. When all trials of a round have ended, the rule is asked about the runs of the
    rounds so far and no others. So a study that was stopped and started again, on a machine of any size, takes the same
    decisions.
    """

    plan: Mapping[str, Any]  # the study's
    trials: Sequence[Trial]  # up to the budget of seeds
    decide: Decide  # the rule, ``decide`` of the module that makes the report
    first: int = FIRST_ROUND  # the number of seeds of the first round

    def __post_init__(self) -> None:
        self.results: dict[str, float] = {}  # by key, the metric of each trial that has ended; NaN if it failed
        self.asked: list[Trial] = []  # the trials of every round so far, which grows
        self.verdicts: dict[Comparison, str] = {
            _comparison(trial): UNDECIDED for trial in self.trials if trial.arm != self.plan["baseline"]
        }
        self._later: dict[int, list[Trial]] = {}  # the trials of each seed that is still to come, in order
        for trial in self.trials:
            self._later.setdefault(trial.seed, []).append(trial)
        self._round: list[Trial] = []
        self._over = False  # whether no further round will come

    def due(self) -> list[Trial]:
        """Return the trials of the latest round that have not ended, after opening what the results allow to open."""
        while not (open_ := [trial for trial in self._round if trial.key not in self.results]) and not self._over:
            if self.asked:
                self.verdicts |= self.decide(self.plan, self._runs())
            needed = self._needed()
            seeds = sorted(self._later)[: 1 if self.asked else self.first]
            trials = [trial for seed in seeds for trial in self._later.pop(seed)]
            self._round = [trial for trial in trials if not self.asked or _comparison(trial) in needed]
            self._over = not self._round
            self.asked += self._round
        return open_

    def most(self) -> list[Trial]:
        """Return every trial that is due or may become so: all that is left if nothing more is decided."""
        due, needed = self.due(), self._needed()
        later = [trial for trials in self._later.values() for trial in trials if _comparison(trial) in needed]
        return [*due, *(trial for trial in later if trial.key not in self.results)]

    def decided(self) -> int:
        """Return how many comparisons need no more seeds."""
        return sum(verdict != UNDECIDED for verdict in self.verdicts.values())

    def _needed(self) -> set[Comparison]:
        open_ = {comparison for comparison, verdict in self.verdicts.items() if verdict == UNDECIDED}
        return open_ | {(levels, self.plan["against"][arm]) for levels, arm in open_}

    def _runs(self) -> pd.DataFrame:
        """Return the runs of the rounds so far, with the columns of ``analysis.records.runs.load_runs`` that count."""
        rows = []
        for trial in self.asked:
            value = self.results[trial.key]
            state = State.FAILED if math.isnan(value) else State.DONE
            factors = {names.FACTOR + factor: level for factor, level in trial.levels.items()}
            named = {"key": trial.key, "arm": trial.arm, "seed": trial.seed, "status": state.value}
            rows.append({**named, **factors, names.METRIC + self.plan["metric"]: value})
        return pd.DataFrame(rows)


def _comparison(trial: Trial) -> Comparison:
    return tuple(trial.levels.values()), trial.arm


class SequentialTrials(ListedTrials):
    """The trials of a study that are due; ``rows`` are those that have become due so far."""

    def __init__(self, study: Study, trials: Sequence[Trial], start: Start, *known: Any) -> None:
        super().__init__(study, trials, start, *known)
        self.rounds = Rounds(self.tracked.plan, trials, start.report.decide)
        self._values: dict[str, float] = {}  # by key, the latest value of the metric
        done = {key: self.recorded[key].metrics for key, state in self.states.items() if state is State.DONE}
        done |= {trial.key: self.saved[trial.key].epochs[-1].metrics for trial in self.complete}
        for key, metrics in done.items():
            self._note(key, metrics)
            self.rounds.results[key] = self._values[key]
        self.rounds.due()
        self.rows = self.rounds.asked

    def next(self, room: int) -> Job | None:
        """See ``Source``; None also until the round is over, which decides on the next."""
        for trial in self.rounds.due():
            if self.states[trial.key] is not State.RUNNING:
                self.states[trial.key] = State.RUNNING
                return Job(trial, self.saved.get(trial.key))
        return None

    def over(self) -> bool:
        return not self.rounds.due()

    def reported(self, trial: Trial, epoch: Epoch, may_stop: bool = True) -> End | None:
        self._note(trial.key, epoch.metrics)
        return super().reported(trial, epoch)

    def ended(self, trial: Trial, end: End) -> None:
        super().ended(trial, end)
        self.rounds.results[trial.key] = self._values[trial.key] if end.state is State.DONE else math.nan

    def expected(self) -> None:
        """See ``Phase``: nobody knows when the rest will be decided."""

    def counts(self) -> str:
        decided = f"{self.rounds.decided()} of {counted(len(self.rounds.verdicts), 'comparison')} decided"
        return f"{super().counts()}, {decided}"

    def verdicts(self) -> Mapping[str, str]:
        found = self.rounds.verdicts.items()
        return {cell_name(*compared): verdict for compared, verdict in found if verdict != UNDECIDED}

    def _note(self, key: str, metrics: Mapping[str, float]) -> None:
        self._values[key] = metrics.get(self.tracked.plan["metric"], math.nan)
