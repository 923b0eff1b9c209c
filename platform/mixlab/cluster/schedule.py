"""Runs trials on Ray Tune: concurrently, on reused workers, and again from its checkpoint if a process is lost.

Besides ``worker``, this is the only file that imports ray.tune. Ray Tune schedules and retries; a source decides what
to run, where it continues, and when it stops.
"""

import os
from typing import Any

from ray import cloudpickle, tune
from ray.tune.progress_reporter import TrialProgressCallback
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from mixlab.cluster import ended_process, head, nodes, packing, tune_private
from mixlab.cluster.events import Events
from mixlab.cluster.resources import Share
from mixlab.cluster.source import End, Listener, Source
from mixlab.cluster.worker import Work, work
from mixlab.errors import StorageLost, last_line
from mixlab.messages import counted
from mixlab.spec.trial import State, Trial

# The most crashes in a row without a new epoch between them. A machine that kills every process is thus met four times
# and no more, while a long trial may lose any number of nodes.
MAX_FAILURES = 3
MOST_BYTES = 10**7  # the size of a task's pickled function up to which Ray does not warn


def run(source: Source, listener: Listener, task: Work, share: Share, launch: str) -> None:
    """Run the trials of ``source`` on the connected cluster, and return when it has no more.

    The listener receives every event, in this process. Each trial has the resources of ``share``; ``launch`` is a name
    that no earlier start of the command had.

    Raises:
        BadInput: the source cannot continue with what a trial reports.
        HeadLost: the cluster was lost.
        StorageLost: no checkpoint can be written or read any more.
    """
    events = Events(source, listener, room=lambda: share.slots(nodes.resources()))
    # Ray Tune would start the trials of a searcher one after another.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(events.room())
    # ``with_parameters`` stores the task as an object of Ray's. When a batch system ends Ray's processes together with
    # this one, Ray looks for that object and ends this process on the spot, which would leave its runs running.
    large = len(cloudpickle.dumps(task)) > MOST_BYTES
    bound = tune.with_parameters(work, work=task) if large else lambda config: work(config, work=task)
    tuner = tune.Tuner(
        # The task is bound here: in the search space it would end up in folder names and in the results.
        tune.with_resources(bound, {"cpu": share.cpus, "gpu": share.gpus}),
        tune_config=tune.TuneConfig(
            search_alg=_Suggestions(events),
            scheduler=_InTurn(events),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda ray_trial: ray_trial.config["key"],
            trial_dirname_creator=lambda ray_trial: ray_trial.config["key"],
        ),
        run_config=tune.RunConfig(
            name=launch,
            storage_path=task.storage.trials,
            storage_filesystem=task.storage.filesystem,
            failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            callbacks=[_Callbacks(events), Silence()],
            verbose=0,
            log_to_file=True,
        ),
    )
    try:
        with (
            tune_private.forgetting(),
            tune_private.surviving_losses(),
            tune_private.checkpoints_with_results(),
            tune_private.deleting_in_background(),
        ):
            head.while_there(lambda: events.until_left(tuner.fit))
    finally:
        events.leave()
    if events.fault is not None:
        raise events.fault


class _Unpickled:
    """Ray Tune writes such parts to disk for Tuner.restore, which is not used: a relaunch reads the journal."""

    def __init__(self, events: Events) -> None:
        super().__init__()
        self.events = events

    def __getstate__(self) -> dict[str, Any]:
        return {}


class _Suggestions(_Unpickled, Searcher):
    """Hands the trials of the source to Ray Tune."""

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        job = self.events.next()
        if job is None:
            return str(Searcher.FINISHED) if self.events.source.over() else None
        return {"key": job.trial.key, "trial": job.trial, "resume_from": job.saved.path if job.saved else None}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """See ``Searcher``; the callbacks report this, with the trial."""


class _InTurn(_Unpickled, FIFOScheduler):
    """Serves trials in their order, and stops a trial when the source says so.

    A trial that ran out of GPU memory is tried again with a larger share.
    """

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        super().on_trial_add(tune_controller, trial)
        tune_private.ask_before_retry(
            trial, lambda: not self.events.is_final(_trial_of(trial), tune_private.failure_of(trial), _gpus_of(trial))
        )

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        self.events.go_on()
        ours = _trial_of(trial)
        if "lost" in result:
            self.events.fault = StorageLost(result["lost"])
            return str(TrialScheduler.STOP)
        if "error" in result:
            self.events.ends[ours.key] = End(State.FAILED, error=result["error"], answer=result["answer"])
        elif "damaged" in result:
            self.events.passed_over(ours, result["damaged"], result["latest"])
        elif "epoch" in result:
            before = self.events.furthest.get(ours.key)
            if before is None or result["epoch"].number > before.number:
                tune_private.forgive_failures(trial)
            if self.events.reported(ours, result["epoch"], result["saved"]):
                return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """See ``TrialScheduler``. Ray Tune calls it before it queues a trial again, when its resources may change.

        It also calls it for a trial that has failed for good, and still counts as running.
        """
        if trial.status != trial.RUNNING and packing.ran_out(tune_private.failure_of(trial).text):
            cpus = trial.placement_group_factory.required_resources["CPU"]
            trial.update_resources({"cpu": cpus, "gpu": packing.more(_gpus_of(trial))})


class _Callbacks(_Unpickled, tune.Callback):
    """Passes Ray Tune's events on."""

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        self.events.go_on()

    def on_trial_start(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.events.go_on()
        ours = _trial_of(trial)
        self.events.listener.started(ours, self.events.saved.get(ours.key))

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.events.go_on()
        attempt = f"attempt {trial.num_failures + 1} {self.events.onwards(_trial_of(trial))}"
        failure = tune_private.failure_of(trial)
        if packing.ran_out(failure.text):
            account = f"ran out of GPU memory, {attempt} with {_gpus_of(trial) * 100:.0f} % of a GPU"
        else:
            why = last_line(_account(failure)) if failure.explained else ""
            account = f"crashed{f' ({why})' if why else ''}, {attempt}"
        self.events.listener.crashed(_trial_of(trial), account)

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.events.go_on()
        self.events.completed(_trial_of(trial), trial.checkpoint.path if trial.checkpoint else "")

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self.events.go_on()
        failure = tune_private.failure_of(trial)
        account = _account(failure)
        if failure.process:
            last = self.events.furthest.get(_trial_of(trial).key)
            epoch = last.number + 1 if last else 1
            account = f"{account}; {counted(trial.num_failures, 'attempt')} came no further than epoch {epoch}"
        self.events.failed(_trial_of(trial), account)


class Silence(TrialProgressCallback):
    """Replaces Ray Tune's own output, which at any verbosity names trials that end without a report."""

    def on_trial_result(self, *event: Any, **info: Any) -> None:
        """See ``tune.Callback``, as for the other events."""

    on_trial_error = on_trial_complete = on_trial_result


def _account(failure: tune_private.Failure) -> str:
    """Return why a trial failed, whose last line says it in short."""
    return ended_process.account(*failure.process) if failure.process else failure.text


def _gpus_of(ray_trial: Any) -> float:
    """Return the GPUs that a trial requests."""
    gpus: float = ray_trial.placement_group_factory.required_resources.get("GPU", 0)
    return gpus


def _trial_of(ray_trial: Any) -> Trial:
    trial: Trial = ray_trial.config["trial"]
    return trial
