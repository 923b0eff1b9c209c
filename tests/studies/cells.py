"""The studies of the folder as they are started: their trials, cells and published numbers."""

import functools
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from analysis.records.published import PublishedNumber, published_number
from mixlab import Search, Study
from mixlab.cli import parse as parse_options
from mixlab.configure import configure
from mixlab.spec.complete import CompleteTrainable, complete
from mixlab.spec.trial import Trial
from trainables.classify import Classification
from trainables.config import Config

FOLDER = Path(__file__).parents[2] / "studies"


class Unrehearsed(Classification):
    """Checks nothing: a rehearsal of every cell takes minutes, and a slow test takes a real step of each."""

    def check(self, settings: Config, processes: int = 1) -> None:
        pass


TRAIN = complete(Unrehearsed())
TRAIN.files = ()  # those that another command writes need not be there


@functools.cache
def load(name: str) -> tuple[Study, str]:
    """Return the study of a file and the file's header."""
    found = runpy.run_path(str(FOLDER / f"{name}.py"))
    return found["study"], found["__doc__"]


@functools.cache
def trials(name: str, *options: str, trainable: CompleteTrainable = TRAIN) -> tuple[Trial, ...]:
    study, _ = load(name)
    spec = configure(study, trainable, parse_options(study, options))
    return tuple((spec.study if isinstance(spec, Search) else spec).trials(trainable))


def cells(name: str, *options: str, trainable: CompleteTrainable = TRAIN) -> dict[str, Mapping[str, Any]]:
    return {trial.cell: trial.config for trial in trials(name, *options, trainable=trainable)}


def write_styles(folder: Path) -> None:
    """Write a small network of styles where the study of StyleMix looks for one, if it is started in the folder."""
    convolution = {"0.weight": torch.zeros(3, 3, 3, 3), "0.bias": torch.zeros(3)}
    (folder / "data").mkdir()
    torch.save({"encoder": convolution, "decoder": convolution}, folder / "data" / "adain.pt")


def published(name: str, *options: str) -> dict[tuple[str, ...], PublishedNumber]:
    """Return the published number of each cell that has one, by its levels and arm."""
    configs = {(*trial.levels.values(), trial.arm): trial.config for trial in trials(name, *options)}
    return {cell: number for cell, config in configs.items() if (number := published_number(config))}
