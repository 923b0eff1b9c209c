"""Weights & Biases and trackio, which share an interface: a project is the study, a run a trial, a step an epoch.

Where they keep their runs, and with whose key, are their own settings (``WANDB_MODE``, ``TRACKIO_DIR``, ...).
"""

import contextvars
import importlib
import sys
from pathlib import Path
from typing import Any, ClassVar

from mixlab.passwords import shown
from mixlab.spec.epoch import Epoch
from mixlab.spec.trial import State, Trial


class RunApi:
    """A mirror by ``init``, ``log`` and ``finish`` of a package; ``options`` are further arguments of ``init``."""

    package: ClassVar[str]

    def __init__(self, study: str, **options: Any) -> None:
        self.init = importlib.import_module(self.package).init
        self.study = study
        self.options = options
        self.runs: dict[str, Any] = {}  # by the trial's key

    def start(self, trial: Trial) -> None:
        from unittest.mock import patch  # takes 30 ms, also of a start that only shows its options

        if trial.key not in self.runs:
            config = {**trial.config, "seed": trial.seed}
            run = {"project": self.study, "group": trial.cell, "name": trial.name, "config": config, "resume": "allow"}
            # Both packages end the run that a context has begun before, but many trials run at a time.
            with patch.object(sys, "argv", [*map(shown, sys.argv)]):  # W&B sends the command along
                self.runs[trial.key] = contextvars.Context().run(lambda: self.init(**run, **self.options))

    def epoch(self, trial: Trial, epoch: Epoch) -> None:
        self.runs[trial.key].log(dict(epoch.metrics), step=epoch.number)

    def end(self, trial: Trial, state: State) -> None:
        if trial.key in self.runs:
            self.runs.pop(trial.key).finish()


class Trackio(RunApi):
    """trackio: ``trackio show`` opens it."""

    package = "trackio"

    def __init__(self, study: str, folder: Path) -> None:
        super().__init__(study, embed=False)


class WeightsAndBiases(RunApi):
    """Weights & Biases."""

    package = "wandb"

    def __init__(self, study: str, folder: Path) -> None:
        super().__init__(study, dir=str(folder), reinit="create_new")
