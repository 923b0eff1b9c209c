"""Runs trials on Ray Tune: concurrently, on reused workers, each again from its checkpoint when it crashes.

The only file that imports ray.tune. Ray Tune schedules and retries; what to run, and where it goes on, is
decided before: a launch gets just the trials that are missing.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ray import tune

from mixlab.cluster import Share
from mixlab.journal import Saved, Storage, read_epochs, write_epochs
from mixlab.study import Trainable, Trial

MAX_FAILURES = 3


class Listener(Protocol):
    """Is told what happens to the trials."""

    def started(self, trial: Trial) -> None:
        """A trial begins, or begins again."""

    def reported(self, trial: Trial, metrics: Mapping[str, Any]) -> None:
        """A trial has finished an epoch."""

    def crashed(self, trial: Trial, attempt: int) -> None:
        """A trial has crashed and will be tried again from its checkpoint."""

    def done(self, trial: Trial, checkpoint: str) -> None:
        """A trial is complete; ``checkpoint`` is the folder of its last checkpoint, in the storage."""

    def failed(self, trial: Trial, traceback: str) -> None:
        """A trial has crashed for the last time."""


def run(
    trials: Sequence[Trial],
    train: Trainable,
    listener: Listener,
    *,
    share: Share,
    storage: Storage,
    launch: str,
    resume: Mapping[str, Saved],
    data_root: Path,
) -> None:
    """Run ``trials`` on the connected cluster and return when each is done or has failed.

    Args:
        trials: what is missing.
        train: the trainable.
        listener: told of everything, in this process.
        share: the resources of each trial.
        storage: where checkpoints go.
        launch: a name that no earlier start of the command had.
        resume: by key, the checkpoint that a trial goes on from.
        data_root: the folder of the data sets, on the workers.
    """
    by_key = {trial.key: trial for trial in trials}
    # Bound as parameters: in the search space they would end up in folder names and in the results.
    work = tune.with_parameters(
        _work,
        trials=by_key,
        train=train,
        storage=storage,
        resume={key: saved.path for key, saved in resume.items() if key in by_key},
        threads=share.threads,
        data_root=str(data_root),
    )
    tuner = tune.Tuner(
        tune.with_resources(work, {"cpu": share.cpus, "gpu": share.gpus}),
        param_space={"key": tune.grid_search(list(by_key))},
        tune_config=tune.TuneConfig(
            reuse_actors=True,
            trial_name_creator=lambda ray_trial: ray_trial.config["key"],
            trial_dirname_creator=lambda ray_trial: ray_trial.config["key"],
        ),
        run_config=tune.RunConfig(
            name=launch,
            storage_path=storage.trials,
            storage_filesystem=storage.filesystem,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[_Announcer(by_key, listener)],
            verbose=0,
            log_to_file=True,
        ),
    )
    tuner.fit()


def _work(
    config: Mapping[str, Any],
    *,
    trials: Mapping[str, Trial],
    train: Trainable,
    storage: Storage,
    resume: Mapping[str, str],
    threads: int,
    data_root: str,
) -> None:
    """In the worker: train one trial, from its checkpoint if there is one."""
    import torch

    torch.set_num_threads(threads)
    trial = trials[config["key"]]
    own = tune.get_checkpoint()
    source = own.path if own else resume.get(trial.key)
    settings = {**trial.config, "data_root": data_root}
    if source is None:
        train(settings, trial.seed, _Reporter([]), None)
        return
    with storage.open(source) as folder:
        train(settings, trial.seed, _Reporter(read_epochs(folder)), folder)


class _Reporter:
    """Turns the loop's report into Ray Tune's, with a checkpoint that knows all epochs so far."""

    def __init__(self, epochs: list[dict[str, Any]]) -> None:
        self.epochs = epochs

    def __call__(self, metrics: dict[str, Any], save: Callable[[Path], None]) -> None:
        self.epochs.append(metrics)
        folder = Path(tempfile.mkdtemp(prefix="mixlab-"))
        try:
            save(folder)
            write_epochs(folder, self.epochs)
            tune.report({"metrics": metrics}, checkpoint=tune.Checkpoint.from_directory(str(folder)))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _Announcer(tune.Callback):
    """Translates Ray Tune's events for the listener."""

    def __init__(self, trials: Mapping[str, Trial], listener: Listener) -> None:
        self.trials = trials
        self.listener = listener

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune writes its callbacks to disk for Tuner.restore, which is not used: a relaunch reads the journal.
        return {}

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.listener.started(self._of(trial))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if "metrics" in result:
            self.listener.reported(self._of(trial), result["metrics"])

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.listener.crashed(self._of(trial), trial.num_failures)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.listener.done(self._of(trial), trial.checkpoint.path)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.listener.failed(self._of(trial), str(trial.get_pickled_error() or trial.get_error() or "unknown error"))

    def _of(self, ray_trial: Any) -> Trial:
        return self.trials[ray_trial.config["key"]]
