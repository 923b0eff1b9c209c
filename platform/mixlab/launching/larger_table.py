"""Keeps a start with fewer seeds from replacing the table of an earlier one, in MLflow and in the results."""

import os

from mixlab.errors import BadInput
from mixlab.spec.study import Study
from mixlab.tracking import artifacts, names, store
from mixlab.uris import sqlite_file


def require_no_larger_table(study: Study, tracking_uri: str) -> None:
    """Raise ``BadInput`` if every arm of the same plan has finished more seeds than ``study`` has."""
    file = sqlite_file(tracking_uri)
    if file is not None and not os.path.exists(file):
        return
    client = store.connect(tracking_uri, make=False)
    experiment = store.experiment_named(client, study.name)
    if experiment is None:
        return
    tags = {names.LEVEL: names.STUDY_LEVELS[0], names.PLAN: study.identity}
    for run in store.search_runs(client, experiment.experiment_id, tags, params=False):
        trials = artifacts.planned(client, run.run_id)
        if len({trial["seed"] for trial in trials}) <= len(study.seeds):
            continue
        done = store.finished(store.recorded(client, study.name))
        seeds = {trial["seed"] for trial in trials} - {t["seed"] for t in trials if t["key"] not in done}
        if len(seeds) > len(study.seeds):
            raise BadInput(
                f"every arm of {study.name!r} has finished {len(seeds)} seeds, and a table of {len(study.seeds)} would "
                f"replace theirs: give --seeds {len(seeds)}, or another --tracking-uri and --storage"
            )
