"""Runs the missing trials of a study, which is one phase, or of a search, which is two."""

from collections.abc import Sequence

from mixlab.cluster.resources import require_place
from mixlab.launching.larger_table import note_table, require_no_more_seeds, require_no_more_trials
from mixlab.launching.launch_study import launch_study
from mixlab.launching.plan import print_plan
from mixlab.launching.result import Result
from mixlab.launching.start import LOG_FILE, Start, undisturbed
from mixlab.spec.search import Search
from mixlab.spec.study import Study
from mixlab.spec.trial import Trial


def launch(spec: Study | Search, trials: Sequence[Trial], start: Start) -> Result:
    """Train every trial that is not done, make the tables, and return the result; in a dry run, print the plan.

    The study or search has been checked and configured; ``trials`` are those of the study, or of the study
    that the search holds, before it is tuned.
    """
    require_place(start.options)
    require_no_more_seeds(spec.study if isinstance(spec, Search) else spec, start.options.tracking_uri)
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
