"""Runs a study from Python, as its command line does: ``mixlab.run(study, train, Options(...))``."""

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from mixlab.cluster.resources import require_sensible
from mixlab.errors import BadInput, first_line, quoted, require_known
from mixlab.launching.result import Result
from mixlab.listing import print_list
from mixlab.messages import say
from mixlab.options import BUDGET, DECIDED, RACED, Options
from mixlab.spec import border
from mixlab.spec.border import checked_arguments
from mixlab.spec.complete import CompleteTrainable, complete
from mixlab.spec.search import Search
from mixlab.spec.study import Study
from mixlab.spec.trial import Trial
from mixlab.tracking.mirrors import MIRRORS
from mixlab.uris import require_uri, sqlite_file

REPORT = "analysis.report"
KEYS = ("dataset", "epochs", "train_images", "deterministic")  # those that have an option of their own
FACTORS = {"mixer": "mixers", "backbone": "backbones"}  # and the option that names several values
OF_SEARCH = ("trials", "sampler", "scheduler", "concurrent", "optuna_storage")  # options that a study does not have
MODES = {"listing": "--list", "fetch": "--fetch", "dry_run": "--dry-run"}


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
    if not isinstance(options, Options):
        raise BadInput(f"the options of a run must be an Options, such as Options(quiet=True), got {quoted(options)}")
    options.check()
    require_spec(study)
    console = Console(highlight=False) if console is None else console
    if not isinstance(console, Console):
        raise BadInput(f"the console of a run must be a rich.console.Console, got {quoted(console)}")
    completed = complete(train)
    spec = configure(study, completed, options)
    # Before any configuration is resolved, for which a trainable may import much.
    if options.listing and not options.check_only:
        print_list(spec, completed, console)
        return Result(0)
    spec.check(completed)
    if options.address == "local":
        # Ray keeps to the loopback interface only where it believes that it cannot form a cluster; it reads this when
        # it is first imported.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    trials = _trials(spec, completed, options)
    if options.fetch and not options.check_only:
        from mixlab.cluster.nodes import prepare

        prepare(completed, trials, Path(options.data_root))
        say(console, f"All that {spec.name} reads is in {options.data_root}")
        return Result(0)
    made_by = _maker_of(report, spec)
    # Ray, MLflow and Optuna take seconds to import, so they wait until the input has been found good.
    if options.check_only:
        require_uri(options.tracking_uri)
        require_sensible(options)
        say(console, f"{spec.name} can be started with these options")
        return Result(0)
    from mixlab.launching.launch import launch
    from mixlab.launching.start import Start

    # The file that was started; in a notebook there is none.
    started = Path(getattr(sys.modules["__main__"], "__file__", None) or Path.cwd() / "notebook")
    return launch(spec, trials, Start(spec.name, completed, options, console, started, made_by))


def _trials(spec: Study | Search, train: CompleteTrainable, options: Options) -> list[Trial]:
    """Return the trials of a study, or of the study that a search holds, after a check of those that are not done."""
    if isinstance(spec, Search):
        return spec.study.trials(train)
    file = sqlite_file(options.tracking_uri)
    if options.check_only or (file is not None and not os.path.exists(file)):
        return spec.trials(train)
    for cell in spec.cells():
        train.read(cell.config)  # a key that is wrong is found without MLflow, which takes a second to import
    from mixlab.tracking import store

    return spec.trials(train, store.finished(store.recorded(store.existing(options.tracking_uri), spec.name)))


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
            raise BadInput(f"{what} need a report with a function {function}, which {quoted(report)} lacks")
    return made_by


def require_spec(spec: Any) -> None:
    """Raise ``BadInput`` unless ``spec`` is a study or a search."""
    if not isinstance(spec, Study | Search):
        raise BadInput(f"what is run must be a Study or a Search, got {quoted(spec)}")
    if isinstance(spec, Search) and not isinstance(spec.study, Study):
        raise BadInput(f"a search holds a Study, got {quoted(spec.study)}")


def configure(spec: Study | Search, train: CompleteTrainable, options: Options) -> Any:
    """Return a study or search changed by the preset, then by each option; ``BadInput`` if it, or one, is wrong."""
    if not 0 <= options.checkpoint_every < float("inf"):
        raise BadInput(f"--checkpoint-every must be minutes, at least 0, got {options.checkpoint_every:g}")
    for mirror in options.mirrors:
        require_known("mirror", mirror, MIRRORS)
    _require_agreement(options)
    if isinstance(spec, Study) and (given := [name for name in OF_SEARCH if getattr(options, name) is not None]):
        raise BadInput(f"--{given[0].replace('_', '-')} is an option of a search, and {spec.name!r} is a study")
    if isinstance(spec, Search):
        spec.check_fields()
    search = spec.completed(train) if isinstance(spec, Search) else None
    study: Study = search.study if search is not None else spec  # type: ignore[assignment]
    study.check(train)
    presets = study.all_presets(train)
    require_known("preset", options.preset, presets)
    for name in search.budgets if search is not None else ():
        require_known("preset in the budgets of a search", name, presets)
    preset = presets[options.preset]
    changes = {key: value for key, value in preset.items() if key != "seeds"} | _own_keys(options)
    if options.epochs is not None:
        border.require_count("--epochs", options.epochs)
    changes |= border.configuration(options.changes, "--set")
    seeds = preset.get("seeds") if options.seeds is None else options.seeds
    if options.until is not None:
        require_known("end of --until", options.until, [DECIDED])
        study, seeds = replace(study, sequential=True), BUDGET if options.seeds is None else options.seeds
    if seeds is not None:
        whose = "--seeds" if seeds is options.seeds else f"seeds of the preset {options.preset!r}"
        border.require_count(whose, seeds)
        if seeds > border.MOST_SEEDS:
            raise BadInput(
                f"{whose} is how many seeds each arm runs, at most {border.MOST_SEEDS}, got {seeds}; "
                f"the seed {seeds} alone is written seeds=({seeds},) in the study"
            )
        study = replace(study, seeds=range(seeds))
    chosen = {key: getattr(options, name) for key, name in FACTORS.items()}
    for factor, labels in chosen.items():
        if labels is not None:
            study = study.with_levels(factor, labels)  # before the preset, which would leave one level
    fixed = {key: value for key, value in changes.items() if chosen.get(key) is None}
    if search is None:
        study = study.with_fixed(**fixed)
    else:
        search = replace(search, study=study).with_fixed(train.held_out, **fixed)
        study = search.study
    if options.arms is not None:
        if not options.arms:
            raise BadInput("--arms names no arm: give at least one")
        study = study.with_arms(options.arms)
    return study if search is None else _configured(replace(search, study=study), options)


def _require_agreement(options: Options) -> None:
    """Raise ``BadInput`` if two options ask for different things, of which only one could be done."""
    modes = [said for name, said in MODES.items() if getattr(options, name)]
    if len(modes) > 1:
        raise BadInput(f"{' and '.join(modes)} ask for different things: give one of them")
    for key in (*KEYS, *FACTORS):
        option = FACTORS.get(key, key)
        given = getattr(options, option)
        if given is None or key not in options.changes:
            continue
        wanted = list(given) if key in FACTORS else [given]
        if wanted != [options.changes[key]]:
            said = f"--{option.replace('_', '-')} {','.join(map(str, wanted))} and --set {key}={options.changes[key]}"
            raise BadInput(f"{said} contradict each other: give one of them")


def _own_keys(options: Options) -> dict[str, Any]:
    """Return the keys of a configuration that are set by an option of their own, with their values."""
    return {key: getattr(options, key) for key in KEYS if getattr(options, key) is not None}


def _configured(search: Search, options: Options) -> Search:
    fixing = {f"--set {key}={value}": key for key, value in options.changes.items()}
    fixing |= {f"--{key.replace('_', '-')} {value}": key for key, value in _own_keys(options).items()}
    for option, key in fixing.items():
        if key in search.space:
            raise BadInput(f"{option} fixes a key that the search varies: take it out of the space first")
    if options.until is not None and len(search.search_seeds) == 1:
        (first,) = search.search_seeds
        search = replace(search, search_seeds=range(first, first + RACED))
    names = {"budget": "trials", "sampler": "sampler", "scheduler": "scheduler", "concurrent": "concurrent"}
    given = {name: getattr(options, option) for name, option in names.items() if getattr(options, option) is not None}
    return replace(search, **{"budget": search.budgets.get(options.preset, search.budget), **given})
