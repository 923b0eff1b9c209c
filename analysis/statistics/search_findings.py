"""The claims that a search supports, and the warnings that its reader needs.

Nothing is claimed from the importance of a parameter alone: fANOVA distributes whatever variance there is, so on pure
noise some parameter has most of it. A parameter is said to matter only where a quadratic surface explains the objective
better than it explains shuffled ones, corrected over the arms.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import optuna  # optuna.importance, which loads scikit-learn, is imported when it is asked for
import pandas as pd
from numpy.typing import NDArray
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.linalg import orth
from scipy.stats import t

from analysis.records.search_trials import SearchRecord, Tuned, position, unit_points
from analysis.statistics.significance import ALPHA, holm
from analysis.statistics.tables import LevelTable
from analysis.statistics.verdicts import DIFFERS, EQUAL, NO_BETTER, NO_WORSE, WIN, WORSE
from analysis.words.captions import span_text
from analysis.words.conclusions import gain_texts
from analysis.words.notes import NOT_YET
from mixlab.messages import counted
from mixlab.spec.study import UNDECIDED
from mixlab.spec.trial import cell_name

EVALUATOR = "fANOVA"
PARTS = 30  # the parts of the trials that are left out in turn for an interval: each time a forest is fitted
SHUFFLES = 999
BORDER = 0.02  # a share of the range, on its own scale
FAILED_SHARE = 0.25
PER_PARAMETER = 5  # the number of trials below which nothing is said about parameters
TOLD_APART = {WIN: "is better than", WORSE: "is worse than", DIFFERS: "differs from"}  # by the verdict
WITHIN_DELTA = {EQUAL: "is equal to", NO_WORSE: "is no worse than", NO_BETTER: "is no better than"}


@dataclass(frozen=True)
class Comparable:
    """The comparable trials of an arm: they trained to the end, or are taken at an epoch that all reached."""

    trials: list[FrozenTrial]
    values: NDArray[np.float64]  # (N,)
    epoch: int | None  # None: the last epoch

    @property
    def when(self) -> str:
        """Return when the values were taken, in words."""
        return "of complete trials" if self.epoch is None else f"of all trials, after epoch {self.epoch}"


def comparable(arm: Tuned) -> Comparable:
    """Return the complete trials or, if they are too few and others were stopped early, all at the shortest's epoch.

    The last value of a trial that was stopped early is never compared with that of a longer one.
    """
    complete = Comparable(arm.complete, np.array([trial.value for trial in arm.complete], dtype=float), None)
    every = [trial for trial in arm.trials(TrialState.COMPLETE, TrialState.PRUNED) if trial.intermediate_values]
    if len(arm.complete) >= wanted(arm, arm.complete) or len(every) <= len(arm.complete):
        return complete
    epoch = min(max(trial.intermediate_values) for trial in every)
    every = [trial for trial in every if epoch in trial.intermediate_values]
    return Comparable(every, np.array([trial.intermediate_values[epoch] for trial in every]), epoch)


def wanted(arm: Tuned, trials: list[FrozenTrial]) -> int:
    """Return the number of trials below which nothing is said about the parameters that all of ``trials`` have."""
    return PER_PARAMETER * len(arm.varied(trials))


@dataclass(frozen=True)
class Landscape:
    """The influence of the parameters in an arm's trials."""

    of: Comparable
    importance: pd.DataFrame  # index parameter; columns importance, low, high: 95 %, by the jackknife over trials
    left_out: list[str]  # parameters under a condition
    p: float  # tests that the parameters explain nothing; NaN with too few trials to ask


def landscape(arm: Tuned) -> Landscape:
    """Return importances by fANOVA over an arm's comparable trials, and a p of there being anything to explain."""
    of = comparable(arm)
    names, count = arm.varied(of.trials), len(of.trials)
    left_out = [name for name in arm.space if name not in names]
    if not names or count < wanted(arm, of.trials) or np.ptp(of.values) == 0:
        return Landscape(of, pd.DataFrame(columns=["importance", "low", "high"], dtype=float), left_out, float("nan"))
    rng = np.random.default_rng(0)
    whole = pd.Series(_importance(arm, of, np.arange(count)))
    part = rng.permutation(count) % PARTS
    rests = [np.flatnonzero(part != each) for each in range(min(PARTS, count))]
    found = pd.DataFrame([_importance(arm, of, rest) for rest in rests if np.ptp(of.values[rest]) > 0])
    # A bootstrap would draw some trials twice, which a forest takes for a certain value: its interval is too narrow.
    error = np.sqrt((len(found) - 1) ** 2 / len(found) * found.var())
    half = error * t.ppf(0.975, len(found) - 1)
    table = pd.DataFrame({"importance": whole, "low": (whole - half).clip(0), "high": (whole + half).clip(upper=1)})
    return Landscape(of, table.sort_values("importance", ascending=False), left_out, explained_p(arm, of, rng))


def explained_p(arm: Tuned, of: Comparable, rng: np.random.Generator) -> float:
    """Return the permutation p of the share of variance that a quadratic surface explains; NaN with too few trials."""
    design = _quadratic(unit_points(arm, of.trials).to_numpy())
    basis = orth(design)  # spans the columns, of which some may depend on others
    if len(of.values) < basis.shape[1] + 4:
        return float("nan")
    # Ranks are used because one trial that nearly diverged must not be all that there is to explain. Equal values share
    # one: their order is that of the trials, which a sampler moves through the space.
    ranks = np.asarray(pd.Series(of.values).rank(), dtype=np.float64)
    observed = _share(basis, ranks)
    shuffled = [_share(basis, rng.permutation(ranks)) for _ in range(SHUFFLES)]
    return (1 + sum(share >= observed - 1e-12 for share in shuffled)) / (SHUFFLES + 1)


def claims(search: SearchRecord, landscapes: dict[str, Landscape], confirmed: Sequence[LevelTable]) -> list[str]:
    """Return the sentences that the data support: what the confirmation found, and arms with parameters that matter."""
    p = explained(landscapes)
    matters = [_parameters(arm.name, landscapes[arm.name], p[arm.name]) for arm in search.arms if p[arm.name] < ALPHA]
    return [sentence for level in confirmed for sentence in _differences(search, level)] + matters


def _differences(search: SearchRecord, level: LevelTable) -> Iterator[str]:
    """Yield a sentence for each arm of a table that is told apart from its reference, or is as good."""
    where = f"{level.name}: " if level.levels else ""
    for arm, row in level.table[level.table["verdict"].isin([*TOLD_APART, *WITHIN_DELTA])].iterrows():
        gain, low, high = gain_texts(level, row)
        said = f"{arm} {(TOLD_APART | WITHIN_DELTA)[row['verdict']]} {level.reference(str(arm))}"
        within = f" within {level.family.delta:g}" if row["verdict"] in WITHIN_DELTA else ""
        tuned = _tuned(search, level, str(arm))
        yield f"{where}{said}{within}, {tuned}: {gain} (95 % interval {low} to {high})."


def _parameters(arm: str, seen: Landscape, p: float) -> str:
    """Return a sentence about an arm with parameters that matter, and about the one that matters most, if one does."""
    table = seen.importance
    said, most = f"{table.index[0]} is", ""
    if len(table) > 1:
        alone = table["low"].iloc[0] > table["high"].iloc[1]
        said = f"{', '.join(table.index)} are"
        most = f"; {table.index[0]} most" if alone else ", none clearly more than another"
    return f"In {arm} it matters how {said} set (p {p:.3f}, {seen.of.when}){most}."


def explained(landscapes: Mapping[str, Landscape]) -> dict[str, float]:
    """Return by arm the p that its parameters explain nothing, corrected for all arms by Holm's method."""
    return dict(zip(landscapes, holm([seen.p for seen in landscapes.values()]).tolist(), strict=True))


def _tuned(search: SearchRecord, level: LevelTable, arm: str) -> str:
    """Return which of an arm and its reference the search has tuned: the space may have nothing for one of them."""
    pair = (arm, level.reference(arm))
    without = {each.name for each in search.arms if each.best is None or not each.best.params}
    tuned = [name for name in pair if cell_name(level.levels.values(), name) not in without]
    if len(tuned) == 2:
        return "both tuned"
    return f"of which only {tuned[0]} was tuned" if tuned else "neither tuned"


def cautions(search: SearchRecord, confirmed: Sequence[LevelTable]) -> list[str]:
    """Return the warnings that a reader needs: a best at the border, many failures, a budget that was too small."""
    found = []
    for arm in search.arms:
        found += _border(arm)
        counts, total = arm.counts(), len(arm.trials())
        if total > (most := search.plan.get("per_arm", total)):
            found.append(f"{arm.name}: its best is of {total} trials, where the budget gives every arm {most}.")
        if (ended := total - counts["unfinished"]) and counts["failed"] >= FAILED_SHARE * ended:
            failed = f"{counts['failed']} of {counted(ended, 'trial')} failed"
            found.append(f"{arm.name}: {failed}; the space may reach where training diverges.")
        if left := counts["unfinished"]:
            found.append(f"{arm.name}: {counted(left, 'trial')} {'has' if left == 1 else 'have'} not ended.")
    return found + _too_few(search.arms) + _too_small(search, confirmed)


def _too_few(arms: Sequence[Tuned]) -> list[str]:
    """Return one sentence about all arms whose trials are too few, for each number that would be needed."""
    short: dict[int, dict[str, int]] = {}  # by the number needed, the trials of each arm
    for arm in arms:
        trials = comparable(arm).trials
        if len(trials) < (least := wanted(arm, trials)):
            short.setdefault(least, {})[arm.name] = len(trials)
    return [
        f"{', '.join(counts)}: {counted(span_text(counts.values()), 'trial')}{' each' if len(counts) > 1 else ''} "
        f"can be compared, too few to say how the parameters act; at least {least} would be needed."
        for least, counts in short.items()
    ]


def _too_small(search: SearchRecord, confirmed: Sequence[LevelTable]) -> list[str]:
    if any(level.family.unfinished for level in confirmed):
        return [NOT_YET]
    verdicts = {verdict for level in confirmed for verdict in level.table["verdict"] if verdict}
    going_on = UNDECIDED in verdicts and confirmed[0].family.budget is not None  # with seeds until all is decided
    if len(search.arms) < 2 or verdicts & {*TOLD_APART, EQUAL} or going_on or (confirmed and not verdicts):
        return []
    if not confirmed:
        return ["No winner has been confirmed yet: the search's values are each the best of many, and so too good."]
    seeds = max(int(level.table["n"].max()) for level in confirmed)
    reference = "what it is compared with" if confirmed[0].against else confirmed[0].baseline
    return [
        f"The budget was too small to tell the arms apart: on {counted(seeds, 'fresh seed')} no arm differs from "
        f"{reference} beyond chance. The values of the search cannot settle it, for each is the best of many."
    ]


def _border(arm: Tuned) -> list[str]:
    if arm.best is None:
        return [f"{arm.name}: no trial was completed."]
    found = []
    for name, value in arm.best.params.items():
        spec, drawn = arm.space[name], arm.best.distributions[name]  # whose steps need not reach the high end
        where = 0.5 if spec["kind"] == "Choice" else position({**spec, "high": drawn.high}, value)
        if not BORDER < where < 1 - BORDER:
            end = "low" if where <= BORDER else "high"
            found.append(
                f"{arm.name}: the best {name}, {value:.4g}, lies on the border of the space, whose {end} end is "
                f"{spec[end]:g}: the optimum may be beyond."
            )
    return found


def _importance(arm: Tuned, of: Comparable, picked: NDArray[np.int64]) -> dict[str, float]:
    """Return the importances of the parameters, which add up to 1, from the trials at the positions ``picked``."""
    names = arm.varied(of.trials)
    study = optuna.create_study()
    for index in picked:
        trial = of.trials[index]
        params = {name: trial.params[name] for name in names}
        distributions = {name: trial.distributions[name] for name in names}
        study.add_trial(create_trial(value=float(of.values[index]), params=params, distributions=distributions))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
        found = optuna.importance.get_param_importances(study, evaluator=evaluator, params=names)
    return {name: float(found[name]) for name in names}


def _quadratic(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for (N, P) the (N, 1 + P + P (P + 1) / 2) of a constant, each parameter and every product."""
    count = points.shape[1]
    products = [points[:, i] * points[:, j] for i in range(count) for j in range(i, count)]
    return np.column_stack([np.ones(len(points)), points, *products])


def _share(basis: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the share of the variance of (N,) values in the span of an orthonormal (N, K) basis with the constant."""
    centred = values - values.mean()
    return float(((basis.T @ centred) ** 2).sum() / (centred**2).sum())
