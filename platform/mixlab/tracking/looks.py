"""The numbers of seeds at which earlier tables of a plan were looked at.

A p holds for a number of seeds that was chosen beforehand. Seeds that are added because a table with fewer of them was
not yet what one hoped for find an effect that is not there far more often than p says, so that the table names the
earlier ones.
"""

from collections.abc import Sequence
from typing import Any

from mlflow.tracking import MlflowClient

from mixlab.spec.study import Study
from mixlab.spec.trial import Trial
from mixlab.tracking import artifacts, names, store


def earlier_looks(client: MlflowClient, study: Study, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the looks at some of these trials, ``{"seeds": [6, ...], "until_decided": bool}``.

    ``seeds`` are the numbers, other than today's, in tables of a fixed number of seeds; ``until_decided`` is whether
    seeds were ever added until every comparison was decided.
    """
    seeds: set[int] = set()
    until_decided = False
    experiment = store.experiment_named(client, study.name)
    keys = {trial.key for trial in trials}
    tags = {names.LEVEL: names.STUDY_LEVELS[0], names.PLAN: study.identity}
    for run in store.search_runs(client, experiment.experiment_id, tags, params=False) if experiment else []:
        plan = artifacts.plan_of(client, run.run_id)
        if names.NOTE not in run.tags or not keys & {trial["key"] for trial in plan.get("trials", [])}:
            continue  # no table was made of its trials
        known = plan.get("looks") or {}
        seeds |= set(known.get("seeds", []))
        until_decided |= bool(plan.get("sequential") or known.get("until_decided"))
        if not plan.get("sequential"):
            seeds.add(len({trial["seed"] for trial in plan["trials"]}))
    return {"seeds": sorted(seeds - {len(study.seeds)}), "until_decided": until_decided}
