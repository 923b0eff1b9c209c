"""The one command line that every study shares.

Exit codes: 0 every cell is done; 1 some trial failed; 2 bad input, found before anything starts;
130 interrupted.
"""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from rich.console import Console

from mixlab.errors import BadInput, HeadLost
from mixlab.run.typed import Untyped
from mixlab.spec.search import SAMPLERS, SCHEDULERS, Search
from mixlab.spec.space import describe
from mixlab.spec.study import Config, Study, Trainable

PRESETS = ("paper", "quick", "smoke")
AUTO = "auto"  # GPUs of a trial: as few as its memory needs


def main(study: Study, train: Trainable, argv: Sequence[str] | None = None) -> NoReturn:
    """Run ``study`` by the command line, and exit with its code."""
    console = Console(stderr=False, highlight=False)
    try:
        code = _run(study, Untyped(train) if hasattr(train, "metrics") else train, argv, console)
    except (BadInput, HeadLost) as error:
        Console(stderr=True, highlight=False).print(f"error: {error}", markup=False, soft_wrap=True)
        code = 2 if isinstance(error, BadInput) else 1
    except KeyboardInterrupt:
        code = 130
    sys.stdout.flush()
    sys.exit(code)


def parser(study: Study) -> argparse.ArgumentParser:
    """The options; other programs rely on their names."""
    options = argparse.ArgumentParser(
        description=f"Run the study {study.name}. The same command again runs only what is missing.",
        allow_abbrev=False,
    )
    add = options.add_argument
    add(
        "--preset",
        default="paper",
        choices=PRESETS,
        help="paper (default): as published; quick: minutes on a laptop; smoke: shows that it runs",
    )
    add("--dataset", metavar="D", help="data set, by its name in trainables.datasets")
    add("--data-root", metavar="DIR", default="data", help="folder of the data sets (default: %(default)s)")
    add("--mixers", metavar="A,B", type=_names, help="levels of the factor mixer")
    add("--backbones", metavar="A,B", type=_names, help="levels of the factor backbone")
    add("--arms", metavar="A,B", type=_names, help="only these arms, and the baseline")
    add("--seeds", metavar="N", type=int, help="run seeds 0 to N-1 in every arm")
    add("--epochs", metavar="N", type=int, help="epochs of each trial")
    add("--train-images", metavar="N", type=int, help="only the first N training images")
    add(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change a configuration key of the base; may be repeated",
    )
    add("--address", default="local", help="Ray cluster: local (default), auto or HOST:PORT")
    add("--cpus-per-trial", metavar="F", type=float, help="processors of each trial; 1 if not given")
    add(
        "--gpus-per-trial",
        metavar="F",
        type=_gpus,
        help="GPUs of each trial, fractions too; auto: as many trials to a GPU as its memory holds; 1 if there is one",
    )
    add("--tracking-uri", metavar="URI", default="sqlite:///mlflow.db", help="MLflow store (default: %(default)s)")
    add(
        "--storage",
        metavar="DIR",
        default="results",
        help="folder or URI of results and checkpoints (default: %(default)s)",
    )
    add("--dry-run", action="store_true", help="print the plan and train nothing")
    add("--list", action="store_true", help="print factors, arms and presets, and end")
    add("--quiet", action="store_true", help="print failures and the tables only")
    if isinstance(study, Search):
        add("--trials", metavar="N", type=int, help="configurations to try in all arms together")
        add("--sampler", metavar="S", help=", ".join(SAMPLERS))
        add("--scheduler", metavar="S", help=f"which trials are stopped early: {', '.join(SCHEDULERS)}")
        add("--concurrent", metavar="N", type=int, help="the most trials at a time")
        add("--optuna-storage", metavar="URL", help="database of the trials; a file beside the results if not given")
    return options


def configure(study: Study, train: Trainable, options: argparse.Namespace) -> Study:
    """The study as the options change it: first the preset, then each option."""
    preset = {**train.presets[options.preset], **study.presets.get(options.preset, {})}
    changes = dict(preset)
    seeds = changes.pop("seeds", len(study.seeds))
    for key in ("dataset", "epochs", "train_images"):
        if getattr(options, key) is not None:
            changes[key] = getattr(options, key)
    changes |= dict(_assignment(text) for text in options.set)
    seeds = seeds if options.seeds is None else options.seeds
    if seeds < 1:
        raise BadInput(f"--seeds must be at least 1, got {seeds}")
    if options.seeds is not None or "seeds" in preset:
        study = study.with_seeds(range(seeds))
    chosen = {"mixer": options.mixers, "backbone": options.backbones}
    for factor, labels in chosen.items():
        if labels is not None:
            study = study.with_levels(factor, labels)  # before the preset, which would leave one level
    study = study.with_fixed(**{key: value for key, value in changes.items() if chosen.get(key) is None})
    if isinstance(study, Search):
        study = _configure_search(study, options)
    return study if options.arms is None else study.with_arms(options.arms)


def _configure_search(search: Search, options: argparse.Namespace) -> Search:
    for text in options.set:
        key, value = _assignment(text)
        if key in search.space:
            raise BadInput(f"--set {key}={value} fixes a key that the search varies: take it out of the space first")
    names = {"budget": "trials", "sampler": "sampler", "scheduler": "scheduler", "concurrent": "concurrent"}
    given = {name: getattr(options, option) for name, option in names.items() if getattr(options, option) is not None}
    return replace(search, **{"budget": search.budgets.get(options.preset, search.budget), **given})


def _run(study: Study, train: Trainable, argv: Sequence[str] | None, console: Console) -> int:
    options = parser(study).parse_args(argv)
    study = configure(study, train, options)
    if isinstance(study, Search):
        study.check(train.resolve, getattr(train, "objectives", None))
    trials = study.trials(train.resolve)
    if options.list:
        _print_list(study, train, trials[0].config, console)
        return 0
    if options.address == "local":
        # Ray keeps to the loopback interface only where it believes that it cannot form a cluster; it reads this when
        # it is first imported.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # Ray, MLflow and Optuna take seconds to import: not before the input has been found good.
    if isinstance(study, Search):
        from mixlab.run.explore import dry_run_search, launch_search

        return (dry_run_search if options.dry_run else launch_search)(study, train, options, console)
    from mixlab.run.launch import dry_run, launch

    return (dry_run if options.dry_run else launch)(study, train, trials, options, console)


def _print_list(study: Study, train: Trainable, config: Config, console: Console) -> None:
    for factor in study.factors:
        console.print(f"{factor}: {', '.join(study.levels(factor))}", markup=False)
    for arm in study.arms:
        changes = ", ".join(f"{key}={value}" for key, value in arm.changes.items()) or "the base"
        console.print(f"arm {arm.name}: {changes}", markup=False, soft_wrap=True)
    usual = {**config, "seeds": len(study.seeds)}
    for name in train.presets:
        preset = {**train.presets[name], **study.presets.get(name, {})}
        different = {key: value for key, value in preset.items() if usual.get(key) != value}
        text = ", ".join(f"{key}={value}" for key, value in different.items()) or "as written"
        console.print(f"preset {name}: {text}", markup=False, soft_wrap=True)
    console.print(f"seeds: {', '.join(str(seed) for seed in study.seeds)}")
    if isinstance(study, Search):
        for key, values in study.space.items():
            console.print(f"{key}: {describe(values)}", markup=False, soft_wrap=True)
        console.print(f"budget: {study.budget} trials, {study.per_cell} an arm, by {study.sampler}")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _gpus(text: str) -> float | str:
    try:
        return text if text == AUTO else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number or {AUTO}, got {text!r}") from None


def _assignment(text: str) -> tuple[str, Any]:
    """KEY=VALUE; the value is read as JSON where it is JSON (0.2, true, null, [0, 1]), else as text."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise BadInput(f"--set takes KEY=VALUE, got {text!r}")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
