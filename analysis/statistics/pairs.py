"""The values of a metric by arm and seed, and the differences between arms that have a seed in common."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.records.runs import METRIC
from mixlab.errors import hint

NOT_METRICS = ("seed", "epochs")
DIVERGED = 1e150  # the size of a value whose square, summed, may not fit into a float
ByArm = Mapping[str, pd.Series]  # values or differences by seed (N,)


def differences_of(values: ByArm, baseline: str, against: Mapping[str, str] | None = None) -> dict[str, pd.Series]:
    """Return arm minus reference, by the seeds that both have (N,), for every arm but the baseline."""
    references = against or {}
    return {
        arm: (series - values[references.get(arm, baseline)]).dropna()
        for arm, series in values.items()
        if arm != baseline
    }


def aligned(differences: Iterable[pd.Series]) -> NDArray[np.float64]:
    """Return differences by seed as one matrix (M, S): one column per seed, in order, NaN where one is missing."""
    by_seed = pd.DataFrame([row.to_dict() for row in differences])
    return np.array(by_seed.sort_index(axis=1), dtype=float, order="C")


def values_by_arm(runs: pd.DataFrame, metric: str, references: Sequence[str]) -> dict[str, pd.Series]:
    """Return the metric by seed of every arm, where it is finite.

    The ``references`` are the baseline, then other arms that must be there.

    Raises:
        ValueError: a column is missing, the baseline or a reference is not an arm, or an arm has a seed twice.
    """
    column = metric_column(runs, metric)
    for name in ("arm", "seed", column):
        if name not in runs:
            known = logged_metrics(runs) if name == column else list(runs.columns)
            raise ValueError(f"the runs have no column {name!r}; {hint(name, map(str, known))}")
    arms = list(dict.fromkeys(runs["arm"]))
    for arm in references:
        if arm not in arms:
            what = "baseline" if arm == references[0] else "reference"
            raise ValueError(f"the {what} {arm!r} is not an arm; the arms are: {', '.join(map(str, arms)) or 'none'}")
    counted = runs[finite_values(runs, metric).notna()]
    twice = counted[counted.duplicated(["arm", "seed"])]
    if len(twice):
        arm, seed = twice[["arm", "seed"]].iloc[0]
        raise ValueError(f"arm {arm!r} has seed {seed} twice: give one run of each seed, of one level of every factor")
    by_seed = counted.set_index("seed")[column].astype(float)
    return {arm: by_seed[(counted["arm"] == arm).to_numpy()] for arm in arms}


def finite_values(runs: pd.DataFrame, metric: str) -> pd.Series:
    """Return the metric of every run, NaN where it is infinite or so large that no test could compute with its square.

    A run that has diverged counts in no mean.
    """
    values = runs[metric_column(runs, metric)].astype(float)
    return values.where(values.abs() < DIVERGED)


def metric_column(runs: pd.DataFrame, metric: str) -> str:
    """Return the column of a metric: that of ``load_runs``, or the bare name in a frame of a user's own."""
    return METRIC + metric if METRIC + metric in runs else metric


def logged_metrics(runs: pd.DataFrame) -> list[str]:
    """Return the names of the metrics for which at least one run has a value."""
    named = [str(name) for name in runs if str(name).startswith(METRIC)]
    numbers = named or [str(name) for name in runs.select_dtypes("number") if name not in NOT_METRICS]
    return [name.removeprefix(METRIC) for name in numbers if runs[name].notna().any()]


def require_logged(runs: pd.DataFrame, metric: str) -> None:
    """Raise ``ValueError`` if no run has a value of the metric."""
    logged = logged_metrics(runs)
    if metric not in logged:
        raise ValueError(f"no run that is done logged the metric {metric!r}; {hint(metric, logged)}")
