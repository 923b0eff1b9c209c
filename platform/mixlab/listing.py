"""Prints the parts of a study."""

from rich.console import Console

from mixlab.messages import counted, say
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import Search
from mixlab.spec.space import describe
from mixlab.spec.study import Study
from mixlab.spec.trainable import Config


def print_list(spec: Study | Search, written: Study | Search, train: CompleteTrainable, console: Console) -> None:
    """Print factors, arms, presets and seeds, and the space of a search, and what each preset changes.

    ``spec`` has been changed by the options; presets are compared with the study or search as it is ``written``.
    """
    study = _study_of(spec)
    for factor in study.factors:
        say(console, f"{factor}: {', '.join(study.levels(factor))}")
    for arm in study.arms:
        changes = _assignments(arm.changes) or "the base"
        against = f", compared with {arm.against}" if arm.against else ""
        control = ", a control" if arm.control else ""
        say(console, f"arm {arm.name}: {changes}{against}{control}")
    _print_presets(_study_of(written), train, console)
    until = ", added until every comparison is decided" if study.sequential else ""
    say(console, f"seeds: {', '.join(str(seed) for seed in study.seeds)}{until}")
    if isinstance(spec, Search):
        for key, values in spec.space.items():
            say(console, f"{key}: {describe(values)}")
        say(console, f"budget: {counted(spec.budget, 'trial')}, {spec.per_cell} an arm, by {spec.sampler}")


def _study_of(spec: Study | Search) -> Study:
    return spec.study if isinstance(spec, Search) else spec


def _print_presets(study: Study, train: CompleteTrainable, console: Console) -> None:
    """Print what each preset changes, and once what all of those that change anything have in common."""
    usual = {**study.cells()[0].config, "seeds": len(study.seeds)}
    changed = {
        name: {key: value for key, value in preset.items() if usual.get(key) != value}
        for name, preset in study.all_presets(train).items()
    }
    changing = [name for name, changes in changed.items() if changes]
    common: Config = {}
    if len(changing) > 1:
        first = changed[changing[0]].items()
        common = dict(each for each in first if all(each in changed[name].items() for name in changing))
    for name, changes in changed.items():
        own = {key: value for key, value in changes.items() if key not in common}
        say(console, f"preset {name}: {_assignments(own) or ('as below' if changes else 'as written')}")
    if common:
        say(console, f"presets {', '.join(changing)} also: {_assignments(common)}")


def _assignments(changes: Config) -> str:
    return ", ".join(f"{key}={value}" for key, value in changes.items())
