"""What earlier tables of a study have shown of the trials that a new one holds.

A p holds for a number of seeds and a choice of arms that were made beforehand. Seeds that are added because a table
with fewer of them was not yet what one hoped for, or an arm that is taken alone because a table of many showed it to be
the best, find an effect that is not there far more often than p says, so that the table names the earlier ones.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mlflow.tracking import MlflowClient

from mixlab.spec.study import Study
from mixlab.spec.trial import Trial
from mixlab.tracking import artifacts, names

Comparison = tuple[str, str]  # a key of a run of the arm, and one of a run of what it is compared with


def earlier_looks(client: MlflowClient, study: Study, trials: Sequence[Trial]) -> dict[str, Any]:
    """Return the looks at some of these trials, ``{"seeds": [6, ...], "until_decided": bool, "comparisons": int}``.

    ``seeds`` are the numbers, other than today's, in tables of this plan with a fixed number of seeds;
    ``until_decided`` is whether seeds were ever added until every comparison was decided; ``comparisons`` counts those
    of other plans that this one lacks, whatever the names of their arms are.
    """
    seeds: set[int] = set()
    until_decided = False
    cells: dict[str, str] = {}
    rows = [{"key": trial.key, "arm": trial.arm, "levels": trial.levels} for trial in trials]
    now = _comparisons(rows, {arm.name: arm.against for arm in study.arms}, study.baseline, cells)
    earlier: set[Comparison] = set()
    keys = {trial.key for trial in trials}
    for run, plan in artifacts.plans(client, study.name):
        if names.NOTE not in run.tags or not keys & {trial["key"] for trial in plan.get("trials", [])}:
            continue  # no table was made of its trials
        if run.tags.get(names.PLAN) != study.identity:
            earlier |= _comparisons(plan["trials"], plan.get("against") or {}, plan["baseline"], cells)
            continue
        known = plan.get("looks") or {}
        seeds |= set(known.get("seeds", []))
        until_decided |= bool(plan.get("sequential") or known.get("until_decided"))
        if not plan.get("sequential"):
            seeds.add(len({trial["seed"] for trial in plan["trials"]}))
    return {
        "seeds": sorted(seeds - {len(study.seeds)}),
        "until_decided": until_decided,
        "comparisons": len(earlier - now),
    }


def _comparisons(
    trials: Iterable[Mapping[str, Any]], against: Mapping[str, str | None], baseline: str, cells: dict[str, str]
) -> set[Comparison]:
    """Return the comparisons of a plan, in which an arm is compared with the one ``against`` it, or the baseline.

    By the key of a run, ``cells`` has that of the run by which its cell is known in all plans; it is completed here.
    """
    keys: dict[tuple[str, ...], list[str]] = defaultdict(list)
    references: dict[tuple[str, ...], tuple[str, ...]] = {}
    for trial in trials:
        levels = tuple(trial["levels"].values())
        keys[*levels, trial["arm"]].append(trial["key"])
        if trial["arm"] != baseline:
            references[*levels, trial["arm"]] = (*levels, against.get(trial["arm"]) or baseline)
    known = {}
    for cell, mine in keys.items():
        known[cell] = next((cells[key] for key in mine if key in cells), mine[0])
        cells |= dict.fromkeys(mine, known[cell])
    return {(known[cell], known[other]) for cell, other in references.items() if other in known}
