"""Runs trials on Ray Tune: concurrently, on reused workers, and again from its checkpoint if a process is lost.

Besides ``worker``, this is the only file that imports ray.tune. Ray Tune schedules and retries; a source decides what
to run, where it continues, and when it stops.
"""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from mixlab.cluster import head, packing, ray_private
from mixlab.cluster.connect import Share
from mixlab.cluster.source import End, Listener, Source, Wait
from mixlab.cluster.worker import Work, work
from mixlab.errors import BadInput, StorageFull, last_line
from mixlab.spec.epoch import Epoch
from mixlab.spec.state import State
from mixlab.spec.trial import Trial

# The most crashes in a row without a new epoch between them. A machine that kills every process is thus met four times
# and no more, while a long trial may lose any number of nodes.
MAX_FAILURES = 3
LEAVE_SECONDS = 3.0  # the time for Ray Tune to leave its loop, once interrupted


@dataclass(frozen=True)
class Allotment:
    """The resources with which trials run.

    Args:
        share: the resources of each trial.
        launch: a name that no earlier start of the command had.
    """

    share: Share
    launch: str


def run(source: Source, listener: Listener, task: Work, allotment: Allotment) -> None:
    """Run the trials of ``source`` on the connected cluster, and return when it has no more.

    Args:
        source: chooses trials, and stops them early.
        listener: receives every event, in this process.
        task: the work of a trial.
        allotment: the resources of the trials.

    Raises:
        BadInput: the source cannot continue with what a trial reports.
        HeadLost: the cluster was lost.
        StorageFull: there is no room for another checkpoint.
    """
    room = partial(_room, allotment.share)
    events = Events(source, listener, room)
    # Ray Tune would start the trials of a searcher one after another.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(room())
    tuner = tune.Tuner(
        # The task is bound as a parameter: in the search space it would end up in folder names and in the results.
        tune.with_resources(
            tune.with_parameters(work, work=task), {"cpu": allotment.share.cpus, "gpu": allotment.share.gpus}
        ),
        tune_config=tune.TuneConfig(
            search_alg=_Suggestions(events),
            scheduler=_InTurn(events),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda ray_trial: ray_trial.config["key"],
            trial_dirname_creator=lambda ray_trial: ray_trial.config["key"],
        ),
        run_config=tune.RunConfig(
            name=allotment.launch,
            storage_path=task.storage.trials,
            storage_filesystem=task.storage.filesystem,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[_Callbacks(events)],
            verbose=0,
            log_to_file=True,
        ),
    )
    try:
        head.while_there(lambda: events.until_left(tuner.fit))
    finally:
        events.leave()
    if events.fault is not None:
        raise events.fault


def _room(share: Share) -> int:
    """Return how many trials may run at a time on the nodes that are there now."""
    return share.slots(ray.cluster_resources())


class _Leave(BaseException):
    """Ends Ray Tune's loop, as Ctrl-C does; the loop catches every other exception."""


class Events:
    """Passes the events of Ray Tune's loop to the source and the listener."""

    def __init__(self, source: Source, listener: Listener, room: Callable[[], int]) -> None:
        self.source = source
        self.listener = listener
        self.room = room
        self.furthest: dict[str, Epoch] = {}  # by key, the last epoch that was reported
        self.ends: dict[str, End] = {}  # by key, how a trial has to end
        self.failures: dict[str, tuple[str, int]] = {}  # by key, the last error's line, and the epochs before it
        self.fault: BadInput | StorageFull | None = None
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
        """Make Ray Tune leave its loop, and tell the listener nothing more; wait a little for that."""
        self._leave.set()
        self._left.wait(LEAVE_SECONDS)

    def go_on(self) -> None:
        """Leave Ray Tune's loop by an exception if it must be left."""
        if self._leave.is_set() or self.fault is not None:
            raise _Leave

    def next(self) -> dict[str, Any] | str | None:
        """Return the next trial in Ray Tune's form, None while there is none, ``FINISHED`` when none will come."""
        while True:
            self.go_on()
            job = self.source.next(self.room())
            if job is None:
                return str(Searcher.FINISHED)
            if isinstance(job, Wait):
                return None
            if job.saved is not None:
                self.listener.resumed(job.trial, job.saved.epochs)
                end = None
                for epoch in job.saved.epochs:
                    end = end or self.source.reported(job.trial, epoch, fresh=False)
                if end is not None or job.saved.complete:
                    self._end(job.trial, end or End(State.DONE), job.saved.path)
                    continue
            path = job.saved.path if job.saved else None
            return {"key": job.trial.key, "trial": job.trial, "resume_from": path}

    def reported(self, trial: Trial, epoch: Epoch) -> bool:
        """Pass an epoch on; return whether the trial must stop after it."""
        self.listener.reported(trial, epoch)
        if trial.key not in self.furthest or epoch.number > self.furthest[trial.key].number:
            self.furthest[trial.key] = epoch
        try:
            end = self.source.reported(trial, epoch)
        except BadInput as fault:
            self.fault = fault
            return True
        if end is not None:
            self.ends[trial.key] = end
        return end is not None and not epoch.last

    def is_final(self, ray_trial: Any) -> bool:
        """Return whether an error is the same as the last one, at the same epoch: it would then come again."""
        trial, failure = _trial_of(ray_trial), ray_private.failure_of(ray_trial)
        epoch = self.furthest.get(trial.key)
        seen = (last_line(failure.text), epoch.number if epoch else 0)
        again = failure.raised and not packing.ran_out(failure.text) and self.failures.get(trial.key) == seen
        self.failures[trial.key] = seen
        return again

    def completed(self, trial: Trial, checkpoint: str) -> None:
        """Note that a trial has returned, or was stopped."""
        end = self.ends.get(trial.key)
        if end is None:
            last = self.furthest.get(trial.key)
            over = last is not None and last.last
            end = End(State.DONE) if over else End(State.FAILED, error="it ended before its last epoch")
        self._end(trial, end, checkpoint)

    def failed(self, trial: Trial, account: str) -> None:
        """Note that a trial has crashed for the last time."""
        self._end(trial, End(State.FAILED, error=account), "")

    def _end(self, trial: Trial, end: End, checkpoint: str) -> None:
        if self.fault is None:
            self.source.ended(trial, end)
            self.listener.ended(trial, end, checkpoint)


class _Unpickled:
    """Ray Tune writes such parts to disk for Tuner.restore, which is not used: a relaunch reads the journal."""

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Suggestions(_Unpickled, Searcher):
    """Hands the trials of the source to Ray Tune."""

    def __init__(self, events: Events) -> None:
        super().__init__()
        self.events = events

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """See ``Searcher``."""
        return self.events.next()

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """See ``Searcher``; the callbacks report this, with the trial."""


class _InTurn(_Unpickled, FIFOScheduler):
    """Serves trials in their order, and stops a trial when the source says so.

    A trial that ran out of GPU memory is tried again with a larger share.
    """

    def __init__(self, events: Events) -> None:
        super().__init__()
        self.events = events

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """See ``TrialScheduler``."""
        super().on_trial_add(tune_controller, trial)
        ray_private.ask_before_retry(trial, lambda ray_trial: not self.events.is_final(ray_trial))

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """See ``TrialScheduler``."""
        self.events.go_on()
        ours = _trial_of(trial)
        if "full" in result:
            self.events.fault = StorageFull(result["full"])
            return str(TrialScheduler.STOP)
        if "error" in result:
            self.events.ends[ours.key] = End(State.FAILED, error=result["error"], answer=result["answer"])
        elif "epoch" in result:
            before = self.events.furthest.get(ours.key)
            if before is None or result["epoch"].number > before.number:
                ray_private.forgive_failures(trial)
            if self.events.reported(ours, result["epoch"]):
                return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """See ``TrialScheduler``. Ray Tune calls it before it queues a trial again, when its resources may change."""
        share = trial.placement_group_factory.required_resources
        if share.get("GPU", 0) > 0 and packing.ran_out(ray_private.failure_of(trial).text):
            trial.update_resources({"cpu": share["CPU"], "gpu": packing.more(share["GPU"])})


class _Callbacks(_Unpickled, tune.Callback):
    """Passes Ray Tune's events on."""

    def __init__(self, events: Events) -> None:
        self.events = events

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        """See ``Callback``."""
        self.events.go_on()

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """See ``Callback``."""
        self.events.go_on()
        self.events.listener.started(_trial_of(trial))

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """See ``Callback``."""
        self.events.go_on()
        attempt = f"attempt {trial.num_failures + 1} goes on from its last epoch"
        gpus = trial.placement_group_factory.required_resources.get("GPU", 0)
        failure = ray_private.failure_of(trial)
        if packing.ran_out(failure.text):
            account = f"ran out of GPU memory, {attempt} with {gpus:.0%} of a GPU"
        else:
            why = f" ({last_line(failure.text)})" if failure.raised else ""
            account = f"crashed{why}, {attempt}"
        self.events.listener.crashed(_trial_of(trial), account)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """See ``Callback``."""
        self.events.go_on()
        self.events.completed(_trial_of(trial), trial.checkpoint.path if trial.checkpoint else "")

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """See ``Callback``."""
        self.events.go_on()
        self.events.failed(_trial_of(trial), ray_private.failure_of(trial).text)


def _trial_of(ray_trial: Any) -> Trial:
    trial: Trial = ray_trial.config["trial"]
    return trial
