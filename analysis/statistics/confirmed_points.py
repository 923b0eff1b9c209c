"""Compares the points that were trained again on fresh seeds with the best trials of a search.

They differ where the runs of another search of the same name were merged, and where a search has found a better trial
since: then the confirmed mean is not that of the best trial beside which it stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from analysis.records.published import config_of_run
from analysis.records.runs import CONFIG, done
from analysis.records.search_trials import SearchRecord
from analysis.statistics.tables import LevelTable
from mixlab.spec.trial import cell_name


def other_points(search: SearchRecord, confirmed: Sequence[LevelTable]) -> dict[str, dict[str, Any]]:
    """Return by arm the confirmed point, keys and values, where it is not that of the best trial of the arm."""
    best = {arm.name: arm.best for arm in search.arms}
    found = {}
    for level in confirmed:
        for run in done(level.runs).drop_duplicates("arm").to_dict("records"):
            name = cell_name(level.levels.values(), run["arm"])
            trial = best.get(name)
            wanted = trial.params if trial is not None else {}
            if any(_differs(run, key, value) for key, value in wanted.items()):
                found[name] = {key: config_of_run(run)[key] for key in wanted if run.get(CONFIG + key)}
    return found


def _differs(run: Mapping[Any, Any], key: str, value: Any) -> bool:
    """Return whether a run has logged another value than this one; one that has logged none tells nothing."""
    text = run.get(CONFIG + key) or str(value)
    plain = list(value) if isinstance(value, tuple) else value
    logged = config_of_run({CONFIG + key: text})[key]
    return text != str(value) and (list(logged) if isinstance(logged, tuple) else logged) != plain
