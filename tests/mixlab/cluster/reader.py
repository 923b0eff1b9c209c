"""A trainable that does what it is given to do, and its trial in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mixlab.cluster import worker
from mixlab.cluster.worker import Work
from mixlab.spec.complete import complete
from mixlab.spec.study import Trial
from mixlab.storage.journal import Storage

CODE = {"commit": "0123abcd"}


class Reader:
    """A trainable that reads a file; as it trains, it does what it is given to do."""

    files = ("teacher", "extractor")
    metrics = ()
    final = (LookupError,)

    def __init__(self, trains: Callable[..., None] | None = None, parallel: bool = False) -> None:
        self.trains = trains
        self.parallel = parallel

    def __call__(self, settings: Any, seed: int, report: Any, processes: int = 0, **where: Any) -> None:
        if self.trains is None:
            raise NotImplementedError
        self.trains(settings, report, processes)


def work(folder: Path, minutes: float = 0.0, train: Reader | None = None, **files: bytes) -> Work:
    return Work(complete(train or Reader()), Storage(str(folder), "study"), 1, folder, minutes, files, CODE)


def run_trial(work: Work, resume_from: Path | None = None, settings: Any = None) -> None:
    trial = Trial("key", "arm", {}, 0, {}, {} if settings is None else settings)
    worker.work({"trial": trial, "resume_from": resume_from and str(resume_from)}, work=work)


def save(folder: Path) -> None:
    for name in ("training.pt", "model.pt", "model_mix_block.pt", "predictions.npz"):
        (folder / name).write_text(name)
    (folder / "optimiser").mkdir()
