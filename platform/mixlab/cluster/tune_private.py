"""The private parts of Ray Tune that Mixlab depends on, in the version that ``constraints.txt`` pins.

Each has a test in ``tests/mixlab/cluster/test_tune_private.py`` that names that version when it fails.
"""

import contextlib
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from pyarrow.fs import FileSystem
from ray import cloudpickle, exceptions
from ray.air.execution import PlacementGroupResourceManager
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution.resources import placement_group
from ray.train._internal import checkpoint_manager
from ray.train._internal.session import _TrainingResult
from ray.train.constants import CHECKPOINT_DIR_NAME
from ray.tune import Checkpoint
from ray.tune.execution.tune_controller import TuneController

from mixlab.cluster.ray_private import process_of
from mixlab.errors import Crash
from mixlab.processes import LAST_SECONDS, in_background

# The process was lost, which a RayActorError says as well.
LOSSES = (exceptions.OutOfMemoryError, exceptions.WorkerCrashedError, exceptions.NodeDiedError)
SHORT_OF_MEMORY = "its machine ran short of memory, so that Ray ended its process"


@dataclass(frozen=True)
class Failure:
    """The reason why a trial failed."""

    text: str  # a traceback, or Ray's account
    raised: bool  # whether the code raised it; otherwise the process or its machine was lost
    process: tuple[str, int] | None = None  # the node and number of one that ended by itself, or was killed there

    @property
    def explained(self) -> bool:
        """Return whether the last line of the account says in short what happened."""
        return self.raised or self.process is not None or self.text.endswith(SHORT_OF_MEMORY)


def failure_of(trial: Any) -> Failure:
    """Return why a trial of Ray Tune failed last.

    ``trial.get_error()`` would not do: it reads a copy in the storage, which Ray Tune may not have written yet.
    """
    if trial.pickled_error_file:
        with contextlib.suppress(EOFError, pickle.UnpicklingError):  # on a full disk it is cut off
            error = cloudpickle.loads(Path(trial.pickled_error_file).read_bytes())
            cause = getattr(error, "cause", None)
            text = str(cause) if isinstance(cause, Crash) else plain(str(error))  # without the lines of Ray's own code
            return Failure(text, isinstance(error, exceptions.RayTaskError), process_of(error))
    text = Path(trial.error_file).read_text(encoding="utf-8", errors="replace") if trial.error_file else ""
    return Failure(plain(text) or "unknown error", False)


def ask_before_retry(trial: Any, wanted: Callable[[], bool]) -> None:
    """Let ``wanted`` decide, besides the number of failures, whether Ray Tune tries a failed trial again.

    It is asked once for each failure, although this is called anew for each attempt, as Ray Tune adds the trial again.
    """
    trial.should_recover = lambda: type(trial).should_recover(trial) and wanted()


def forgive_failures(trial: Any) -> None:
    """Count a trial's failures from 0 again."""
    trial.run_metadata.num_failures = 0


@contextlib.contextmanager
def forgetting() -> Iterator[None]:
    """Make Ray Tune forget trials that are over, inside the block, and write its state at the end alone.

    It would write the state of all trials at each checkpoint, so that each trial would cost more than the one before;
    only ``Tuner.restore`` reads that state, which is not used.
    """
    write = TuneController.checkpoint

    def forget(controller: Any, force: bool = False, wait: bool = False) -> None:
        """Ray Tune calls this after every event, and with ``force`` at the end, when it reads the state again."""
        for over in (controller._stopped_trials, controller._failed_trials):
            for trial in over:
                controller._trials.remove(trial)
            over.clear()
        controller._trials_to_cache.clear()
        controller._checkpoint_manager._trial_num_checkpoints_since_last_sync.clear()
        if force:
            write(controller, force, wait)

    with patch.object(TuneController, "checkpoint", forget):
        yield


@contextlib.contextmanager
def surviving_losses() -> Iterator[None]:
    """Make Ray Tune treat the loss of a process, inside the block, as a failure of its trial alone.

    Ray has several errors for a lost process; Ray Tune knows one of them, and ends all trials at the others. If a
    process is lost before the next trial has begun on it, Ray Tune would count that twice, the second time for good,
    and never start the trial again, which it believes to be running.
    """
    task_failed, trial_failed = RayActorManager._actor_task_failed, TuneController._trial_task_failure
    last: Exception | None = None

    def failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        if isinstance(exception, LOSSES):
            reason = [SHORT_OF_MEMORY] if isinstance(exception, exceptions.OutOfMemoryError) else []
            exception = exceptions.RayActorError(error_msg="\n".join([str(exception).strip(), *reason]))
        task_failed(manager, tracked_actor_task, exception)

    def failed_once(controller: Any, trial: Any, exception: Exception) -> None:
        nonlocal last
        if exception is not last:
            last = exception
            controller._resetting_trials.discard(trial)
            trial_failed(controller, trial, exception)

    with (
        patch.object(RayActorManager, "_actor_task_failed", failed),
        patch.object(TuneController, "_trial_task_failure", failed_once),
    ):
        yield


@contextlib.contextmanager
def checkpoints_with_results() -> Iterator[None]:
    """Make Ray Tune take each checkpoint, inside the block, from the result that names it.

    It would ask the worker for it by a second call, for which the trial would wait.
    """

    def take(controller: Any, trial: Any) -> None:
        path = f"{trial.storage.trial_fs_path}/{trial.last_result[CHECKPOINT_DIR_NAME]}"
        checkpoint = Checkpoint(path, trial.storage.storage_filesystem)
        controller._process_trial_save(trial, _TrainingResult(checkpoint, trial.last_result))

    with patch.object(TuneController, "_schedule_trial_save", take):
        yield


@contextlib.contextmanager
def deleting_in_background() -> Iterator[None]:
    """Make Ray Tune delete replaced checkpoints in other threads, inside the block; wait a little for the last ones.

    A deletion takes longer than all else that follows a report, and in a bucket many times as long. Every trial would
    wait for it.
    """
    delete = checkpoint_manager._delete_fs_path
    pending: set[Future[None]] = set()

    def begin(fs: FileSystem, fs_path: str) -> None:
        future: Future[None] = Future()
        pending.add(future)
        future.add_done_callback(pending.discard)
        in_background(partial(delete, fs, fs_path), future, "deletion")

    try:
        with patch.object(checkpoint_manager, "_delete_fs_path", begin):
            yield
    finally:
        wait(list(pending), LAST_SECONDS)


def _give_back(manager: Any) -> None:
    """Remove the placement groups of a loop that is over in a thread for which nobody waits.

    Python collects their manager in any thread. The one that writes to MLflow would wait a minute for a head that is
    dead.
    """
    with contextlib.suppress(RuntimeError):  # raised where Python ends, and starts no thread any more
        in_background(manager.clear, Future(), "resources")


# No block would do: it is collected later, even after Ray has ended, which Ray's wrapper would start again.
PlacementGroupResourceManager.__del__ = _give_back
placement_group.remove_placement_group = inspect.unwrap(placement_group.remove_placement_group)


def plain(text: str) -> str:
    """Return a traceback without the colours that Ray gives it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
