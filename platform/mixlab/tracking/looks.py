"""What earlier tables of a study have shown of the trials that a new one holds.

A p holds for a number of seeds and a choice of arms that were made beforehand. Seeds that are added because a table
with fewer of them was not yet what one hoped for, or an arm that is taken alone because a table of many showed it to be
the best, find an effect that is not there far more often than p says, so that the table names the earlier ones.
"""

from collections.abc import Sequence
from typing import Any

from mlflow.tracking import MlflowClient

from mixlab.spec.study import Study
from mixlab.spec.trial import Trial, cell_name
from mixlab.tracking import artifacts, names


def earlier_looks(client: MlflowClient, study: Study, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the looks at some of these trials, ``{"seeds": [6, ...], "until_decided": bool, "comparisons": int}``.

    ``seeds`` are the numbers, other than today's, in tables of this plan with a fixed number of seeds;
    ``until_decided`` is whether seeds were ever added until every comparison was decided; ``comparisons`` counts those
    of other plans that this one lacks.
    """
    seeds: set[int] = set()
    until_decided = False
    comparisons: set[str] = set()  # the names of cells
    keys = {trial.key for trial in trials}
    for run, plan in artifacts.plans(client, study.name):
        if names.NOTE not in run.tags or not keys & {trial["key"] for trial in plan.get("trials", [])}:
            continue  # no table was made of its trials
        if run.tags.get(names.PLAN) != study.identity:
            compared = (trial for trial in plan["trials"] if trial["arm"] != plan["baseline"])
            comparisons |= {cell_name(trial["levels"].values(), trial["arm"]) for trial in compared}
            continue
        known = plan.get("looks") or {}
        seeds |= set(known.get("seeds", []))
        until_decided |= bool(plan.get("sequential") or known.get("until_decided"))
        if not plan.get("sequential"):
            seeds.add(len({trial["seed"] for trial in plan["trials"]}))
    comparisons -= {trial.cell for trial in trials}
    return {
        "seeds": sorted(seeds - {len(study.seeds)}),
        "until_decided": until_decided,
        "comparisons": len(comparisons),
    }
