"""Runs the missing trials of a study, which is one phase, or of a search, which is two.

No start replaces the table of an earlier one by a table that holds less.
"""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

from mixlab.cluster.resources import require_place
from mixlab.errors import BadInput
from mixlab.launching.launch_study import launch_study
from mixlab.launching.plan import print_plan
from mixlab.launching.result import Result
from mixlab.launching.start import LOG_FILE, Start, undisturbed
from mixlab.messages import counted
from mixlab.spec.search import Search
from mixlab.spec.study import Study
from mixlab.spec.trial import Trial

TABLE_FILE = ".table.json"  # beside the tables: {"asked": {key: name of each trial}, "done": [key, ...]}


def launch(spec: Study | Search, trials: Sequence[Trial], start: Start) -> Result:
    """Train every trial that is not done, make the tables, and return the result; in a dry run, print the plan.

    The study or search has been checked and configured; ``trials`` are those of the study, or of the study
    that the search holds, before it is tuned.
    """
    require_place(start.options)
    require_no_more_trials(trials, start.tables)
    if start.options.dry_run:
        return print_plan(spec, trials, start)
    start.make_folder()
    with undisturbed(start.folder / LOG_FILE), start.stack:
        if isinstance(spec, Study):
            result = launch_study(spec, trials, start)
        else:
            from mixlab.launching.launch_search import launch_search  # it imports Optuna

            result = launch_search(spec, start)
        if result.page is not None:
            note_table(trials, result, start.tables)
        return result


def note_table(trials: Sequence[Trial], result: Result, folder: Path) -> None:
    """Record in ``folder`` which of ``trials`` its new table has, for ``require_no_more_trials``."""
    done = [trial.key for trial in trials if (trial.cell, trial.seed) in result.tabled]
    content = {"asked": {trial.key: trial.name for trial in trials}, "done": done}
    with contextlib.suppress(OSError):  # the table is there all the same
        (folder / TABLE_FILE).write_text(json.dumps(content), encoding="utf-8")


def require_no_more_trials(trials: Sequence[Trial], folder: Path) -> None:
    """Raise ``BadInput`` if the table in ``folder`` has all of these trials and more."""
    try:
        there = json.loads((folder / TABLE_FILE).read_bytes())
    except (OSError, ValueError):  # none, or one that a full disk has cut short
        return
    asked = {trial.key for trial in trials}
    done = set(there["done"])
    lost = [name for key, name in there["asked"].items() if key in done and key not in asked]
    if lost and asked <= there["asked"].keys():
        raise BadInput(
            f"{str(folder)!r} has a table of {counted(len(done), 'trial')}, and one of {len(done & asked)} of them "
            f"would replace it, without {lost[0]!r}: give the same arms, levels and seeds, or another --storage"
        )
