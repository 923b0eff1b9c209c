"""Every option of the command line, with its default."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from mixlab.errors import BadInput, require
from mixlab.passwords import shown
from mixlab.spec import user_input
from mixlab.spec.user_input import checked_arguments

AUTO = "auto"  # the GPUs of a trial: as few as its memory needs
DECIDED = "decided"  # the end of seeds that are added one after another
BUDGET = 20  # the most seeds of an arm until it is decided
RACED = 6  # the most seeds of a configuration in a search whose study names one alone


PLACES = ("data_root", "tracking_uri", "storage", "optuna_storage")  # paths too; an empty text would mean another place


@checked_arguments
@dataclass(frozen=True, kw_only=True)
class Options:
    """The options with which a study is started: ``mixlab.run(study, train, Options(quiet=True))``.

    Args:
        preset: ``paper``, ``quick``, ``smoke``, or any other preset of the trainable or the study.
        dataset: sets the configuration key ``dataset``.
        data_root: the folder of the data sets.
        mixers: the levels of the factor ``mixer``.
        backbones: the levels of the factor ``backbone``.
        arms: run only these arms, and the baseline.
        seeds: run the seeds from 0 to ``seeds`` - 1 in every arm; with ``until``, the most that an arm gets.
        until: ``decided`` adds seeds one after another, and none to an arm whose comparison is decided; in a search,
            none to a configuration that cannot be the best of its arm any more.
        epochs: sets the configuration key ``epochs``.
        train_images: sets the configuration key ``train_images``.
        deterministic: sets the configuration key ``deterministic``.
        changes: configuration keys of the base to change; ``--set`` on the command line.
        address: the address of the Ray cluster: ``local``, ``auto`` or ``HOST:PORT``.
        cpus_per_trial: processors of each trial; 1 by default.
        gpus_per_trial: GPUs of each trial, or ``auto``; 1 by default where there is one.
        tracking_uri: the URI of MLflow.
        mirrors: other trackers that show the trials: ``tensorboard``, ``trackio``, ``wandb``.
        system_metrics: record what the machine of each trial does: processors, memory, disk, network and GPU.
        storage: the folder or URI of results and checkpoints.
        checkpoint_every: the minutes between two checkpoints of a trial; 0 for one after every epoch.
        check_only: look for what is wrong with the study and the options; ``--check`` on the command line.
        dry_run: print the plan and train nothing.
        listing: print factors, arms and presets; ``--list`` on the command line.
        fetch: download the data sets and weights that the study reads to ``data_root``, and train nothing.
        quiet: print failures and tables only.
        json: print the result as JSON on the standard output, and everything else on the standard error.
        trials: in a search, the configurations to try in all arms together.
        sampler: in a search, the sampler that proposes configurations.
        scheduler: in a search, the rule that stops trials early.
        concurrent: in a search, the most trials at a time.
        optuna_storage: in a search, the database of its trials; by default a file next to the results.
    """

    preset: str = "paper"
    dataset: str | None = None
    data_root: str = "data"
    mixers: Sequence[str] | None = None
    backbones: Sequence[str] | None = None
    arms: Sequence[str] | None = None
    seeds: int | None = None
    until: str | None = None
    epochs: int | None = None
    train_images: int | None = None
    deterministic: bool | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)
    address: str = "local"
    cpus_per_trial: float | None = None
    gpus_per_trial: float | str | None = None
    tracking_uri: str = "sqlite:///mlflow.db"
    mirrors: Sequence[str] = ()
    system_metrics: bool = False
    storage: str = "results"
    checkpoint_every: float = 0.0
    check_only: bool = False
    dry_run: bool = False
    listing: bool = False
    fetch: bool = False
    quiet: bool = False
    json: bool = False
    trials: int | None = None
    sampler: str | None = None
    scheduler: str | None = None
    concurrent: int | None = None
    optuna_storage: str | None = None

    def __post_init__(self) -> None:
        for each in fields(self):
            if isinstance(value := getattr(self, each.name), os.PathLike):
                object.__setattr__(self, each.name, os.fspath(value))

    def check(self) -> None:
        """Raise ``BadInput`` for an option whose value has the wrong type, or names no place where it must."""
        for name, hint in user_input.type_hints(type(self)).items():
            user_input.require_type(option_name(name), getattr(self, name), hint)
        for name in PLACES:
            if (place := getattr(self, name)) is not None:
                _require_place(option_name(name), place)
        if self.optuna_storage == (both := self.tracking_uri):  # each keeps its version in a table of the same name
            raise BadInput(
                f"--optuna-storage and --tracking-uri are both {shown(both)!r}: give each a database of its own"
            )
        gpus = self.gpus_per_trial
        require(not isinstance(gpus, str) or gpus == AUTO, "--gpus-per-trial", f"a number or {AUTO!r}", gpus)


CALLED_OTHERWISE = {"changes": "--set", "check_only": "--check", "listing": "--list"}


def option_name(field: str) -> str:
    """Return what a field of the options is called on the command line."""
    return CALLED_OTHERWISE.get(field, "--" + field.replace("_", "-"))


def _require_place(what: str, place: str) -> None:
    if not place.strip():
        raise BadInput(f"{what} must name a place, got {place!r}")
    if place.startswith(("~/", "sqlite:///~/")):
        meant = place.replace("~", os.path.expanduser("~"), 1)
        raise BadInput(f"{what} {place!r} has a ~ that no shell has replaced; give {meant}")
