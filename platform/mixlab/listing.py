"""Prints the parts of a study."""

from rich.console import Console

from mixlab.messages import say
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.search import Search
from mixlab.spec.space import describe
from mixlab.spec.study import Study


def print_list(spec: Study | Search, train: CompleteTrainable, console: Console) -> None:
    """Print factors, arms, presets and seeds, and the space of a search."""
    study = spec.study if isinstance(spec, Search) else spec
    for factor in study.factors:
        say(console, f"{factor}: {', '.join(study.levels(factor))}")
    for arm in study.arms:
        changes = ", ".join(f"{key}={value}" for key, value in arm.changes.items()) or "the base"
        against = f", compared with {arm.against}" if arm.against else ""
        control = ", a control" if arm.control else ""
        say(console, f"arm {arm.name}: {changes}{against}{control}")
    usual = {**study.cells()[0].config, "seeds": len(study.seeds)}
    for name, preset in study.all_presets(train).items():
        different = {key: value for key, value in preset.items() if usual.get(key) != value}
        text = ", ".join(f"{key}={value}" for key, value in different.items()) or "as written"
        say(console, f"preset {name}: {text}")
    say(console, f"seeds: {', '.join(str(seed) for seed in study.seeds)}")
    if isinstance(spec, Search):
        for key, values in spec.space.items():
            say(console, f"{key}: {describe(values)}")
        say(console, f"budget: {spec.budget} trials, {spec.per_cell} an arm, by {spec.sampler}")
