"""Changes a study or a search by a preset and the options of the command line."""

from dataclasses import replace
from typing import Any

from mixlab.errors import BadInput, require_known
from mixlab.options import BUDGET, DECIDED, RACED, Options, option_name
from mixlab.spec import user_input
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import Search
from mixlab.spec.study import Study
from mixlab.spec.trainable import Config
from mixlab.tracking.mirrors import require_installed

KEYS = ("dataset", "epochs", "train_images", "deterministic")  # configuration keys with an option of their own
FACTORS = {"mixer": "mixers", "backbone": "backbones"}  # a factor's key, and the option that names its levels
# A field of a search, and its option.
FIELDS = {"budget": "trials", "sampler": "sampler", "scheduler": "scheduler", "concurrent": "concurrent"}
OF_SEARCH = (*FIELDS.values(), "optuna_storage")  # options that a study does not have
MODES = ("check_only", "listing", "fetch", "dry_run")


def configure(spec: Study | Search, train: CompleteTrainable, options: Options) -> Any:
    """Return a study or search changed by the preset, then by each option; ``BadInput`` if it, or one, is wrong."""
    if not 0 <= options.checkpoint_every < float("inf"):
        raise BadInput(f"--checkpoint-every must be minutes, at least 0, got {options.checkpoint_every:g}")
    require_installed(options.mirrors)
    _require_agreement(options)
    if isinstance(spec, Search):
        return _changed_search(spec, train, options)
    if given := [name for name in OF_SEARCH if getattr(options, name) is not None]:
        raise BadInput(f"{option_name(given[0])} is an option of a search, and {spec.name!r} is a study")
    preset = _presets(spec, train, options)[options.preset]
    fixed = _fixed(preset, options)
    return _changed_study(spec, preset, options).with_fixed(**fixed)


def _changed_search(search: Search, train: CompleteTrainable, options: Options) -> Search:
    search.check_fields()
    search = search.completed(train)
    presets = _presets(search.study, train, options)
    for name in search.budgets:
        require_known("preset in the budgets of a search", name, presets)
    preset = presets[options.preset]
    fixed = _fixed(preset, options)
    study = _changed_study(search.study, preset, options)
    search = replace(search, study=study).with_fixed(train.held_out, **fixed)
    fixing = {f"--set {key}={value}": key for key, value in options.changes.items()}
    fixing |= {f"{option_name(key)} {value}": key for key, value in _own_keys(options).items()}
    for said, key in fixing.items():
        if key in search.space:
            raise BadInput(f"{said} fixes a key that the search varies: take it out of the space first")
    if options.until is not None and len(search.search_seeds) == 1:
        (first,) = search.search_seeds
        search = replace(search, search_seeds=range(first, first + RACED))
    given = {field: getattr(options, name) for field, name in FIELDS.items() if getattr(options, name) is not None}
    return replace(search, **{"budget": search.budgets.get(options.preset, search.budget), **given})


def _presets(study: Study, train: CompleteTrainable, options: Options) -> dict[str, Config]:
    """Return what each preset sets, after a check of the study, and of the name of the preset that is wanted."""
    study.check(train)
    presets = study.all_presets(train)
    require_known("preset", options.preset, presets)
    return presets


def _fixed(preset: Config, options: Options) -> dict[str, Any]:
    """Return the keys that the preset and the options fix in every cell, without factors that an option names."""
    fixed = {key: value for key, value in preset.items() if key != "seeds"} | _own_keys(options)
    if options.epochs is not None:
        user_input.require_count("--epochs", options.epochs)
    fixed |= user_input.configuration(options.changes, "--set")
    return {key: value for key, value in fixed.items() if key not in FACTORS or getattr(options, FACTORS[key]) is None}


def _own_keys(options: Options) -> dict[str, Any]:
    """Return the keys of a configuration that are set by an option of their own, with their values."""
    return {key: getattr(options, key) for key in KEYS if getattr(options, key) is not None}


def _changed_study(study: Study, preset: Config, options: Options) -> Study:
    """Return a study with the seeds, the levels and the arms that are wanted."""
    study = _with_seeds(study, preset, options)
    for factor, name in FACTORS.items():
        if (labels := getattr(options, name)) is not None:
            study = study.with_levels(factor, labels)  # before anything is fixed, which would leave one level
    if options.arms is None:
        return study
    if not options.arms:
        raise BadInput("--arms names no arm: give at least one")
    return study.with_arms(options.arms)


def _with_seeds(study: Study, preset: Config, options: Options) -> Study:
    """Return a study with the seeds of ``--seeds``, else with those of ``--until``, of the preset, or its own."""
    if options.until is not None:
        require_known("end of --until", options.until, [DECIDED])
        study = replace(study, sequential=True, seeds=range(BUDGET))
    whose, seeds = "--seeds", options.seeds
    if seeds is None and options.until is None:
        whose, seeds = f"seeds of the preset {options.preset!r}", preset.get("seeds")
    if seeds is None:
        return study
    user_input.require_count(whose, seeds)
    if seeds > user_input.MOST_SEEDS:
        raise BadInput(
            f"{whose} is how many seeds each arm runs, at most {user_input.MOST_SEEDS}, got {seeds}; "
            f"the seed {seeds} alone is written seeds=({seeds},) in the study"
        )
    return replace(study, seeds=range(seeds))


def _require_agreement(options: Options) -> None:
    """Raise ``BadInput`` if two options ask for different things, of which only one could be done."""
    modes = [option_name(name) for name in MODES if getattr(options, name)]
    if len(modes) > 1:
        raise BadInput(f"{' and '.join(modes)} ask for different things: give one of them")
    for key in (*KEYS, *FACTORS):
        name = FACTORS.get(key, key)
        given = getattr(options, name)
        if given is None or key not in options.changes:
            continue
        wanted = list(given) if key in FACTORS else [given]
        if wanted != [options.changes[key]]:
            both = f"{option_name(name)} {','.join(map(str, wanted))} and --set {key}={options.changes[key]}"
            raise BadInput(f"{both} contradict each other: give one of them")
