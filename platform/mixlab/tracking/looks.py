"""Finds the earlier tables of a study that have shown trials of a new one.

A p holds for seeds and arms that were chosen beforehand. Whoever adds seeds because a table with fewer of them did not
show what he hoped for, or takes an arm alone because it was the best in a table of many, finds effects that are not
there far more often than p says. So the new table names the earlier ones, and the earlier confirmations of a search
that went on after them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from mlflow.tracking import MlflowClient

from mixlab.spec.study import Study
from mixlab.spec.study_plan import winners
from mixlab.spec.trial import Trial
from mixlab.tracking import artifacts, names

Comparison = frozenset[str]  # a key of a run of the arm, and one of a run of what it is compared with, or the reverse


def earlier_looks(
    client: MlflowClient, study: Study, trials: Sequence[Trial], metric: str, done: Collection[str]
) -> dict[str, Any]:
    """Return the looks at these trials, by these names.

    ``seeds`` are the numbers of seeds in tables with a fixed number of them, other seeds than today's, and a comparison
    of this one; ``until_decided`` is whether seeds were ever added to one until every comparison was decided;
    ``comparisons`` counts those of other plans that this one lacks, whatever the names of their arms are; ``metrics``
    are those, other than today's ``metric``, in tables with a comparison of this one; ``other_delta`` is whether one of
    these had another delta, or none, and ``other_family`` whether one had another family. A table without a seed of
    today's is no look: the p of new seeds holds whatever has been seen of others.

    ``confirmed`` are the earlier confirmations of a search, each with its ``winners`` and ``seeds``, after whose
    results a cell of this one was searched on. The first results of one are there once the key of any of its runs is
    among those ``done``: terminal and MLflow show them before there is a table.
    """
    today = set(study.seeds)
    cells = _Cells()
    rows = [{"key": trial.key, "arm": trial.arm, "levels": trial.levels} for trial in trials]
    now = cells.compared(rows, {arm.name: arm.against for arm in study.arms}, study.baseline)
    keys = {trial.key for trial in trials}
    seeds: set[int] = set()
    metrics: set[str] = set()
    until_decided = other_delta = other_family = False
    earlier: set[Comparison] = set()
    plans = artifacts.plans(client, study.name)
    for run, plan in plans:
        if names.NOTE not in run.tags or not keys & {trial["key"] for trial in plan.get("trials", [])}:
            continue  # no table was made of its trials
        compared = cells.compared(plan["trials"], plan.get("against") or {}, plan["baseline"])
        if run.tags.get(names.PLAN) != study.identity:
            earlier |= compared
        if not compared & now:
            continue
        known = plan.get("looks") or {}
        metrics |= {plan["metric"], *known.get("metrics", [])}
        until_decided |= bool(plan.get("sequential") or known.get("until_decided"))
        other_delta |= plan.get("delta") != study.delta or bool(known.get("other_delta"))
        other_family |= plan.get("family", study.family) != study.family or bool(known.get("other_family"))
        planned = {trial["seed"] for trial in plan["trials"]}
        others = planned != today
        seeds |= set(known.get("seeds", [])) - ({len(today)} if others else set())
        # Without a table of these seeds, the note is that of an earlier plan.
        of_table = run.tags.get(names.TABLE_SEEDS, str(len(planned))) == str(len(planned))
        if others and of_table and not plan.get("sequential"):
            seeds.add(len(planned))
    return {
        "seeds": sorted(seeds),
        "until_decided": until_decided,
        "comparisons": len(earlier - now),
        "metrics": sorted(metrics - {metric}),
        "other_delta": other_delta,
        "other_family": other_family,
        "confirmed": _confirmed([plan for _, plan in plans], winners(study), done),
    }


def _confirmed(
    plans: Iterable[Mapping[str, Any]], now: Mapping[str, Any], done: Collection[str]
) -> list[Mapping[str, Any]]:
    """Return the confirmations with results in which a cell of ``now`` had other trials or another winner."""
    found: list[Mapping[str, Any]] = []
    for plan in plans:
        known = list((plan.get("looks") or {}).get("confirmed", ()))
        trials = plan.get("trials", ())
        if any(trial["key"] in done for trial in trials):
            known.append({"winners": plan.get("winners", {}), "seeds": sorted({trial["seed"] for trial in trials})})
        for each in known:
            then = each["winners"]
            new = then not in [other["winners"] for other in found]
            if new and any(then[cell] != now[cell] for cell in then.keys() & now.keys()):
                found.append(each)
    return found


class _Cells:
    """The cells of several plans. Cells that share a run count as one, whatever their arms are called."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # by the key of a run, the key that names its cell

    def compared(
        self, trials: Iterable[Mapping[str, Any]], against: Mapping[str, str | None], baseline: str
    ) -> set[Comparison]:
        """Return the comparisons of a plan: of each arm with the one that is ``against`` it, or with the baseline."""
        keys: dict[tuple[str, ...], list[str]] = defaultdict(list)
        references: dict[tuple[str, ...], tuple[str, ...]] = {}
        for trial in trials:
            levels = tuple(trial["levels"].values())
            keys[*levels, trial["arm"]].append(trial["key"])
            if trial["arm"] != baseline:
                references[*levels, trial["arm"]] = (*levels, against.get(trial["arm"]) or baseline)
        known = {cell: self._name(mine) for cell, mine in keys.items()}
        return {frozenset((known[cell], known[other])) for cell, other in references.items() if other in known}

    def _name(self, keys: Sequence[str]) -> str:
        """Return the key that names the cell of these runs."""
        name = next((self._names[key] for key in keys if key in self._names), keys[0])
        self._names |= dict.fromkeys(keys, name)
        return name
