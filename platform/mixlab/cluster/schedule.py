"""Runs trials on Ray Tune: concurrently, on reused workers, each again from its checkpoint when it crashes.

With ``searcher``, the only file that imports ray.tune. Ray Tune schedules and retries; what to run, and where it goes
on, is decided outside: a launch of a study gets just the trials that are missing, and a search is asked for the next.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ray import cloudpickle, tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from mixlab.cluster import head, packing
from mixlab.cluster.connect import Share
from mixlab.cluster.objective import Objective
from mixlab.spec.study import Trainable, Trial
from mixlab.storage.journal import Saved, Storage, read_epochs, write_epochs

# Crashes in a row without a new epoch between them. So a fault in an epoch is met four times and no more, and a long
# trial may lose any number of nodes.
MAX_FAILURES = 3
LEAVE_SECONDS = 3.0  # for Ray Tune to leave its loop, once interrupted


@dataclass(frozen=True)
class Job:
    """What one Ray trial does."""

    trial: Trial
    resume_from: str | None  # a checkpoint's folder, in the storage


@dataclass(frozen=True)
class Place:
    """Where and with what trials run.

    Args:
        share: the resources of each trial.
        storage: where checkpoints go.
        launch: a name that no earlier start of the command had.
        data_root: the folder of the data sets, on the workers.
    """

    share: Share
    storage: Storage
    launch: str
    data_root: Path


class Listener(Protocol):
    """Is told what happens to the trials."""

    def started(self, trial: Trial) -> None:
        """A trial begins, or begins again."""

    def reported(self, trial: Trial, metrics: Mapping[str, Any]) -> None:
        """A trial has finished an epoch."""

    def crashed(self, trial: Trial, account: str) -> None:
        """A trial has crashed and will be tried again from its checkpoint; ``account`` says so in words."""

    def done(self, trial: Trial, checkpoint: str) -> None:
        """A trial is over; ``checkpoint`` is the folder of its last checkpoint, in the storage; empty without one."""

    def failed(self, trial: Trial, traceback: str) -> None:
        """A trial has crashed for the last time."""


def run(
    trials: Sequence[Trial], train: Trainable, listener: Listener, place: Place, resume: Mapping[str, Saved]
) -> None:
    """Run ``trials`` on the connected cluster and return when each is done or has failed.

    Args:
        trials: what is missing.
        train: the trainable.
        listener: told of everything, in this process.
        place: where.
        resume: by key, the checkpoint that a trial goes on from.
    """
    jobs = {t.key: Job(t, resume[t.key].path if t.key in resume else None) for t in trials}
    _fit(train, listener, place, tune.TuneConfig(scheduler=InTurn(), **_NAMED), jobs)


def explore(
    searcher: Searcher, scheduler: TrialScheduler, objective: Objective, listener: Listener, place: Place
) -> None:
    """Run what ``searcher`` suggests, such as ``suggestion`` makes it, until it has no more.

    Args:
        searcher: chooses the next trial, and learns how each ends.
        scheduler: stops trials early.
        objective: trains.
        listener: told of everything, in this process.
        place: where.
    """
    config = tune.TuneConfig(search_alg=searcher, scheduler=scheduler, num_samples=-1, **_NAMED)
    _fit(objective, listener, place, config, {})


def suggestion(job: Job) -> dict[str, Any]:
    """A job as a searcher gives it to Ray Tune."""
    return {"key": job.trial.key, "job": job}


_NAMED: dict[str, Any] = {
    "reuse_actors": True,
    "trial_name_creator": lambda ray_trial: ray_trial.config["key"],
    "trial_dirname_creator": lambda ray_trial: ray_trial.config["key"],
}


def _fit(
    train: Trainable | Objective, listener: Listener, place: Place, config: tune.TuneConfig, jobs: Mapping[str, Job]
) -> None:
    """Run ``jobs``, all that are known beforehand by key, and what the searcher of ``config`` suggests."""
    share, storage = place.share, place.storage
    announcer = _Announcer(listener, jobs)
    # Bound as parameters: in the search space they would end up in folder names and in the results.
    work = tune.with_parameters(
        _work, jobs=jobs, train=train, storage=storage, threads=share.threads, data_root=str(place.data_root)
    )
    tuner = tune.Tuner(
        tune.with_resources(work, {"cpu": share.cpus, "gpu": share.gpus}),
        param_space={"key": tune.grid_search(list(jobs))} if jobs else {},
        tune_config=config,
        run_config=tune.RunConfig(
            name=place.launch,
            storage_path=storage.trials,
            storage_filesystem=storage.filesystem,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[announcer],
            verbose=0,
            log_to_file=True,
        ),
    )
    try:
        head.while_there(lambda: announcer.until_left(tuner.fit))
    finally:
        announcer.leave()


def _work(
    config: Mapping[str, Any], *, jobs: Mapping[str, Job], train: Any, storage: Storage, threads: int, data_root: str
) -> None:
    """In the worker: train one trial, from its checkpoint if there is one."""
    import torch

    torch.set_num_threads(threads)
    _keep_to_share(tune.get_context().get_trial_resources().required_resources.get("GPU", 0))
    job = _job(config, jobs)
    own = tune.get_checkpoint()
    source = own.path if own else job.resume_from
    settings = {**job.trial.config, "data_root": data_root}
    if source is None:
        train(settings, job.trial.seed, _Reporter([]), None)
        return
    with storage.open(source) as folder:
        train(settings, job.trial.seed, _Reporter(read_epochs(folder)), folder)


def _keep_to_share(gpus: float) -> None:
    """Take no more of a shared GPU's memory than one's share: a greedy trial fails, and not its neighbour."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()  # of the trial that this process ran before
        torch.cuda.set_per_process_memory_fraction(min(1.0, gpus) or 1.0)


class InTurn(FIFOScheduler):
    """First come, first served; a trial that ran out of GPU memory is tried again with a larger share."""

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """See ``TrialScheduler``. Called before a trial is queued again, when its resources may still change."""
        share = trial.placement_group_factory.required_resources
        if trial.should_recover() and packing.ran_out(_last_error(trial)) and share.get("GPU", 0) > 0:
            trial.update_resources({"cpu": share["CPU"], "gpu": packing.more(share["GPU"])})


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

    def __init__(self, listener: Listener, jobs: Mapping[str, Job]) -> None:
        self.listener = listener
        self.jobs = jobs
        self.furthest: dict[str, int] = {}  # by key, the last epoch that was reported
        self._leave = threading.Event()
        self._left = threading.Event()

    def until_left(self, fit: Callable[[], object]) -> None:
        """Run Ray Tune, in a thread, until it is done or has to leave."""
        try:
            fit()
        except _Leave:
            pass
        finally:
            self._left.set()

    def leave(self) -> None:
        """Have Ray Tune leave its loop, and tell the listener no more; waits a little for that."""
        self._leave.set()
        self._left.wait(LEAVE_SECONDS)

    def __getstate__(self) -> dict[str, Any]:
        # Ray Tune writes its callbacks to disk for Tuner.restore, which is not used: a relaunch reads the journal.
        return {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        if self._leave.is_set():
            raise _Leave

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.listener.started(self._of(trial))

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        if "metrics" not in result:
            return
        ours, epoch = self._of(trial), result["metrics"]["epoch"]
        if epoch > self.furthest.get(ours.key, 0):
            self.furthest[ours.key] = epoch
            trial.run_metadata.num_failures = 0
        self.listener.reported(ours, result["metrics"])

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        attempt = f"attempt {trial.num_failures + 1} goes on from its last epoch"
        gpus = trial.placement_group_factory.required_resources.get("GPU", 0)
        if packing.ran_out(_last_error(trial)):
            account = f"ran out of GPU memory, {attempt} with {gpus:.0%} of a GPU"
        else:
            account = f"crashed, {attempt}"
        self.listener.crashed(self._of(trial), account)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.listener.done(self._of(trial), trial.checkpoint.path if trial.checkpoint else "")

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        # Not trial.get_error(): it reads a copy in the storage, which Ray Tune may not have written yet.
        self.listener.failed(self._of(trial), _last_error(trial))

    def _of(self, ray_trial: Any) -> Trial:
        if self._leave.is_set():
            raise _Leave
        return _job(ray_trial.config, self.jobs).trial


class _Leave(BaseException):
    """Ends Ray Tune's loop, as Ctrl-C does: it catches every other exception."""


def _last_error(ray_trial: Any) -> str:
    """The last attempt's traceback; or where Ray Tune could not pickle that, its account of every attempt."""
    if ray_trial.pickled_error_file:
        error = cloudpickle.loads(Path(ray_trial.pickled_error_file).read_bytes())
        return str(error)
    return Path(ray_trial.error_file).read_text() if ray_trial.error_file else "unknown error"


def _job(config: Mapping[str, Any], jobs: Mapping[str, Job]) -> Job:
    # Ray Tune names a grid's trials before it resolves values that are no text, so a grid is of keys.
    job: Job = config["job"] if "job" in config else jobs[config["key"]]
    return job
