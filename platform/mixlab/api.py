"""Runs a study from Python, as its command line does: ``mixlab.run(study, train, Options(...))``."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from mixlab.cluster.resources import require_address, require_place, wanted_share
from mixlab.configure import configure
from mixlab.errors import BadInput, first_line, require
from mixlab.launching.result import Result
from mixlab.listing import print_list
from mixlab.messages import say
from mixlab.options import Options
from mixlab.spec.complete import CompleteTrainable, complete
from mixlab.spec.search import Search
from mixlab.spec.study import Study
from mixlab.spec.trial import Trial
from mixlab.spec.user_input import checked_arguments
from mixlab.uris import require_storage_uri, require_uri, sqlite_file

REPORT = "analysis.report"


@checked_arguments
def run(
    study: Study | Search,
    train: Any,
    options: Options | None = None,
    *,
    report: Any = REPORT,
    console: Console | None = None,
) -> Result:
    """Run the missing trials of a study or a search, and make its tables.

    Args:
        study: the study or search.
        train: the trainable.
        options: those of the command line.
        report: the module that makes the tables, or its name.
        console: receives the messages; by default the standard output.

    Returns:
        The tables as data frames, the verdicts, and the exit code that the command line would have.

    Raises:
        BadInput: the study or an option is wrong; one sentence.
    """
    options = Options() if options is None else options
    require(isinstance(options, Options), "the options of a run", "an Options, such as Options(quiet=True)", options)
    options.check()
    require_spec(study)
    console = Console(highlight=False) if console is None else console
    require(isinstance(console, Console), "the console of a run", "a rich.console.Console", console)
    require_address(options.address)
    completed = complete(train, wanted_share(options).processes)
    spec = configure(study, completed, options)
    # Before any configuration is resolved, for which a trainable may import much.
    if options.listing:
        print_list(spec, study, completed, console)
        return Result(0)
    spec.check(completed)
    trials = _trials(spec, completed, options)
    if options.fetch:
        from mixlab.cluster.nodes import prepare

        cells = spec.study.cells() if isinstance(spec, Search) else ()
        varied = [trial for cell in cells for trial in spec.corners(cell, completed)]
        prepare(completed, [*trials, *varied], Path(options.data_root))
        told = f"All that {spec.name} reads is in {options.data_root}"
        if not hasattr(completed.train, "prepare"):
            told = f"Nothing was fetched: the trainable of {spec.name} has no function prepare, and may read anything"
        say(console, told)
        return Result(0)
    made_by = _maker_of(report, spec)
    # Ray, MLflow and Optuna take seconds to import, so they wait until the input has been found good.
    if options.check_only:
        require_uri(options.tracking_uri)
        require_storage_uri(options.storage)
        unseen = "machines, data and stores were not looked at"
        say(console, f"Nothing wrong was found in {spec.name} and these options; {unseen}")
        return Result(0)
    from mixlab.launching.launch_study import launch_study
    from mixlab.launching.plan import print_plan
    from mixlab.launching.start import LOG_FILE, Start, undisturbed

    # The file that was started; in a notebook there is none.
    started = Path(getattr(sys.modules["__main__"], "__file__", None) or Path.cwd() / "notebook")
    start = Start(spec.name, completed, options, console, started, made_by)
    require_place(options)
    if options.dry_run:
        return print_plan(spec, trials, start)
    start.make_folder()
    with undisturbed(start.folder / LOG_FILE), start.stack:
        if isinstance(spec, Study):
            return launch_study(spec, trials, start)
        from mixlab.launching.launch_search import launch_search  # it imports Optuna

        return launch_search(spec, start)


def _trials(spec: Study | Search, train: CompleteTrainable, options: Options) -> list[Trial]:
    """Return the trials of a study, or of the study that a search holds, after a check of those that are not done."""
    if isinstance(spec, Search):
        return spec.study.trials(train)
    file = sqlite_file(options.tracking_uri)
    if options.check_only or (file is not None and not os.path.exists(file)):
        return spec.trials(train)
    for cell in spec.cells():
        train.read(cell.config)  # a key that is wrong is found without MLflow, which takes a second to import
    from mixlab.tracking import store, stored_runs

    recorded = stored_runs.recorded(store.existing(options.tracking_uri), spec.name)
    return spec.trials(train, stored_runs.finished(recorded))


def _maker_of(report: Any, spec: Study | Search) -> Any:
    """Return the module that makes the tables; raise ``BadInput`` if it cannot make those of ``spec``."""
    try:
        made_by = importlib.import_module(report) if isinstance(report, str) else report
    except Exception as error:  # the module may be of the user's
        raise BadInput(
            f"the module {report!r}, which is to make the tables, cannot be imported ({first_line(error)})"
        ) from error
    needed = {"report": "tables"}
    if (spec.study if isinstance(spec, Search) else spec).sequential:
        needed["decide"] = "seeds until decided"
    if isinstance(spec, Search) and spec.racing:
        needed["race"] = "seeds until decided"
    for function, what in needed.items():
        if not callable(getattr(made_by, function, None)):
            raise BadInput(f"{what} need a report with a function {function}, which {report!r} lacks")
    return made_by


def require_spec(spec: Any) -> None:
    """Raise ``BadInput`` unless ``spec`` is a study or a search."""
    require(isinstance(spec, Study | Search), "what is run", "a Study or a Search", spec)
    if isinstance(spec, Search) and not isinstance(spec.study, Study):
        raise BadInput(f"a search holds a Study, got {spec.study!r}")
