"""The race between the configurations of an arm: which of them get more of the search's seeds.

What a race decides is kept with the trial in Optuna's storage, in one write with the result that it follows from, so
that a search that was stopped and started again repeats no decision and takes none differently.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from mixlab.search.history import Claim, History
from mixlab.spec.epoch import Epoch
from mixlab.spec.search import RACE

Rule = Callable[[Mapping[int, Sequence[float]], int, int, bool], str]
DIGITS = 12  # kept of a seed's result, which is computed as a difference of means


@dataclass
class Race:
    """The race within each arm of a search; its rule is ``race`` of the module that makes the report."""

    history: History
    rule: Rule

    def out(self, claim: Claim, epoch: Epoch, mean: float) -> str:
        """Return why a trial gets no more seeds; empty if it goes on, or is in the midst of a seed.

        Its report counts the epochs of all seeds, and ``mean`` is that of the objective over the seeds so far.
        """
        trial, seeds = claim.trial, len(claim.trial.seeds)
        over, midst = divmod(epoch.number * seeds, epoch.of)
        if midst:
            return ""
        trials = self.history.trials(trial.cell)
        values = {each.number: list(each.user_attrs.get(RACE, {}).get("values", [])) for each in trials}
        mine = values[trial.number]
        if len(mine) >= over:  # an earlier start has decided
            return str(trials[trial.number].user_attrs[RACE]["out"]) if len(mine) == over else ""
        mine.append(float(f"{over * mean - sum(mine):.{DIGITS}g}"))
        out = self.rule(values, trial.number, seeds, self.history.search.direction == "maximize")
        claim.trial_in_optuna.set_user_attr(RACE, {"values": mine, "out": out})
        return out
