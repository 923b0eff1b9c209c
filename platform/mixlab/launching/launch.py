"""Runs the missing trials of a study, which is one phase, or of a search, which is two."""

from collections.abc import Sequence

from mixlab.cluster.resources import require_place
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
    if start.options.dry_run:
        return print_plan(spec, trials, start)
    start.make_folder()
    with undisturbed(start.folder / LOG_FILE), start.stack:
        if isinstance(spec, Study):
            return launch_study(spec, trials, start)
        from mixlab.launching.launch_search import launch_search  # it imports Optuna

        return launch_search(spec, start)
