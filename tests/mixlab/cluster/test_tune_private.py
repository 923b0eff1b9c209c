"""The private parts of Ray Tune that ``mixlab.cluster.tune_private`` touches are as they were."""

import inspect
import threading
from collections.abc import Sized
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from pyarrow.fs import LocalFileSystem
from ray import cloudpickle
from ray._private import state
from ray.air.execution import PlacementGroupResourceManager
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.air.execution.resources import placement_group
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RayTaskError, WorkerCrashedError
from ray.train._internal.checkpoint_manager import _CheckpointManager
from ray.train._internal.session import _TrainingResult, _TrainSession
from ray.train._internal.storage import StorageContext
from ray.train.constants import CHECKPOINT_DIR_NAME
from ray.tune import Checkpoint, CheckpointConfig, PlacementGroupFactory
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.result import SHOULD_CHECKPOINT
from ray.tune.utils.callback import _create_default_callbacks

from mixlab.cluster import schedule, tune_private
from mixlab.cluster.events import Events
from mixlab.cluster.schedule import Silence
from mixlab.errors import Crash
from mixlab.spec.epoch import Epoch
from tests import pins

require = partial(pins.require, package=ray, file="cluster/tune_private.py")


def test_a_failed_trial_asks_itself_once_whether_it_recovers():
    source = inspect.getsource(TuneController._process_trial_failure)
    require(source.count("trial.should_recover()") == 1, "TuneController asks trial.should_recover() once")
    assert inspect.getsource(TuneController).count("should_recover") == 1
    require("num_failures" in inspect.getsource(Trial.should_recover), "Trial counts run_metadata.num_failures")
    for name in ("pickled_error_file", "error_file"):
        require(isinstance(getattr(Trial, name), property), f"Trial.{name} names a file")


@pytest.fixture
def storage(tmp_path, monkeypatch) -> StorageContext:
    """Return what a controller of Ray Tune needs to be made without a cluster."""
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")  # otherwise it asks a cluster, and there is none
    return StorageContext(tmp_path, "study", trial_dir_name="trial")


IMAGE = "OSError: no such image"
FULL = "torch.OutOfMemoryError: CUDA out of memory. Process {} has 79.1 GiB memory in use."


@pytest.mark.parametrize(
    ("errors", "gpus", "said"),
    [
        (  # Ray Tune adds a trial again with each attempt: one more asked, and the second found its own answer
            [(1, IMAGE), (2, IMAGE), (3, IMAGE), (3, IMAGE)],
            0.125,
            [f"crashed ({IMAGE}), attempt {number} begins anew" for number in (2, 3, 4)],
        ),
        (  # Ray Tune lets no resources change of a trial that has failed for good: all other trials ended with it
            [(1, FULL.format(1))] * 4,
            0.125,
            [
                f"ran out of GPU memory, attempt {number} begins anew with {percent} % of a GPU"
                for number, percent in ((2, 25), (3, 50), (4, 100))
            ],
        ),
        (
            [(1, FULL.format(1)), (1, FULL.format(2))],
            1.0,
            ["ran out of GPU memory, attempt 2 begins anew with 100 % of a GPU"],
        ),
    ],
    ids=["an error that comes later", "without room on a whole GPU", "a whole GPU that was full already"],
)
def test_a_trial_is_tried_again_until_the_same_error_comes_at_the_same_epoch(
    errors, gpus, said, storage, tmp_path, monkeypatch
):
    """Only what Ray Tune makes of a failure is tried: no trial runs."""
    told: list[str] = []
    listener: Any = SimpleNamespace(
        crashed=lambda trial, account: told.append(account),
        ended=lambda trial, end, checkpoint: told.append(f"{end.state.value}: {end.error}"),
    )
    events = Events(SimpleNamespace(ended=lambda trial, end: None), listener, lambda: 1)
    monkeypatch.setattr(storage, "_get_session_path", lambda: str(tmp_path))
    ours = schedule.Trial("key", "arm", {}, 0, {})
    share = PlacementGroupFactory([{"CPU": 1.0, "GPU": gpus}])
    trial = Trial("stub", stub=True, config={"trial": ours}, storage=storage, placement_group_factory=share)
    trial.max_failures = schedule.MAX_FAILURES
    trial.init_local_path()
    given: Any = {"scheduler": schedule._InTurn(events), "callbacks": [schedule._Callbacks(events)]}
    controller = TuneController(storage=storage, trial_checkpoint_config=CheckpointConfig(1), **given)
    controller.add_trial(trial)
    for epoch, error in errors:
        events.furthest[ours.key] = Epoch(epoch, 9, {})
        controller._set_trial_status(trial, Trial.RUNNING)
        controller._process_trial_failure(trial, RayTaskError("work", "", Crash(error)).as_instanceof_cause())
    assert told == [*said, f"failed: {errors[-1][1]}"]


def test_ray_tune_prints_nothing_of_its_own(monkeypatch, capsys):
    """Even when told to be silent, it prints a line for each trial that ends without a report."""
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    for given, silent in ([], False), ([Silence()], True):
        trial = Trial("stub", stub=True, trial_id="ends")
        for callback in _create_default_callbacks(given, air_verbosity=None):
            callback.on_trial_complete(1, [trial], trial)
        require(silent == (not capsys.readouterr().out), "TrialProgressCallback prints the end of a trial")


def test_ray_tune_keeps_no_trial_that_is_over_and_writes_no_state(storage):
    controller = TuneController(storage=storage, trial_checkpoint_config=CheckpointConfig(1))
    runs = Trial("stub", stub=True, trial_id="runs")
    before = {name: len(held) for name, held in vars(controller).items() if isinstance(held, Sized)}
    controller.add_trial(runs)
    usual = TuneController.checkpoint
    with tune_private.forgetting():
        for number in range(20):
            controller.add_trial(trial := Trial("stub", stub=True, trial_id=f"{number}"))
            controller._checkpoint_manager.on_trial_checkpoint(trial)  # Ray Tune would write the state now
            controller._set_trial_status(trial, Trial.RUNNING)
            controller._set_trial_status(trial, Trial.ERROR if number % 2 else Trial.TERMINATED)
            controller._live_trials.discard(trial)
            controller.checkpoint()
            require(controller.get_trials() == [runs], "TuneController drops the trials that are over")
    assert TuneController.checkpoint is usual
    assert not controller._checkpoint_manager._trial_num_checkpoints_since_last_sync
    grown = {name for name, size in before.items() if len(vars(controller)[name]) > size + 1}
    require(grown == {"_pending_trials_list"}, "TuneController holds its trials in the collections that are emptied")


def test_a_checkpoint_is_taken_from_the_result_that_names_it(storage, tmp_path):
    controller = TuneController(storage=storage, trial_checkpoint_config=CheckpointConfig(1))
    trial = Trial("stub", stub=True, storage=storage)
    trial.temporary_state.ray_actor = SimpleNamespace()  # an actor that cannot be asked
    result = {SHOULD_CHECKPOINT: True, CHECKPOINT_DIR_NAME: "checkpoint_000007", "training_iteration": 8}
    with tune_private.checkpoints_with_results():
        decision = controller._process_trial_result(trial, result)
    require(decision == "CONTINUE" and not trial.is_saving, "TuneController goes on once a checkpoint is noted")
    checkpoint = trial.checkpoint
    require(checkpoint is not None, "TuneController calls _schedule_trial_save(trial) for a result with a checkpoint")
    assert checkpoint.path == str(tmp_path / "study" / "trial" / "checkpoint_000007")
    latest = trial.latest_checkpoint_result
    require(latest.metrics["training_iteration"] == 8, "the trial is restored by the metrics of that result")
    reported = inspect.getsource(_TrainSession.report)
    require("metrics[CHECKPOINT_DIR_NAME] = self.storage" in reported, "tune.report names the folder in the result")


def test_a_trial_does_not_wait_until_its_old_checkpoint_is_deleted(tmp_path):
    begun, go_on, deleted = threading.Event(), threading.Event(), []

    class Slow(LocalFileSystem):
        def delete_dir(self, path: str) -> None:
            begun.set()
            assert go_on.wait(20)
            deleted.append(path)

    folders = [tmp_path / "checkpoint_0", tmp_path / "checkpoint_1"]
    held = _CheckpointManager(CheckpointConfig(1))
    with tune_private.deleting_in_background():
        for folder in folders:
            folder.mkdir()
            held.register_checkpoint(_TrainingResult(Checkpoint(str(folder), Slow()), {}))
        require(begun.wait(20), "CheckpointManager deletes by _delete_fs_path(fs=, fs_path=)")
        assert not deleted
        go_on.set()
    assert deleted == [str(folders[0])]


def failure_of(error: Exception, folder: Path) -> tune_private.Failure:
    """Return the failure of a trial whose error Ray Tune has written to a file."""
    (folder / "error.pkl").write_bytes(cloudpickle.dumps(error))
    return tune_private.failure_of(SimpleNamespace(pickled_error_file=folder / "error.pkl"))


@pytest.mark.parametrize(
    ("text", "process"),
    [
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR", ("node", 7)),
        ("The actor is dead because its node has died. Node Id: abc", None),
        ("The actor is dead because it was killed by `ray.kill`.", None),
    ],
)
def test_only_a_process_that_ended_by_itself_has_last_words(text, process, monkeypatch, tmp_path):
    monkeypatch.setattr(state, "actors", lambda actor: {"Address": {"NodeID": "node"}, "Pid": 7})
    error = ActorDiedError(ActorDiedErrorContext(error_message=text, actor_id=b"1234567890123456"))
    error.args = ()  # the context itself cannot be pickled
    failure = failure_of(error, tmp_path)
    assert (failure.raised, failure.process) == (False, process)
    assert text in failure.text


def test_a_machine_short_of_memory_fails_the_trial_and_not_all_trials(tmp_path):
    failed: list[Exception] = []
    manager: Any = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    actor = SimpleNamespace(actor_id=1, _on_error=None)
    task: Any = SimpleNamespace(_tracked_actor=actor, _on_error=lambda _, error: failed.append(error))
    with pytest.raises(RuntimeError, match="Caught unexpected exception"):
        RayActorManager._actor_task_failed(manager, task, OutOfMemoryError("95 % is used"))
    with tune_private.surviving_losses():
        for loss in (OutOfMemoryError("95 % is used"), WorkerCrashedError(), NodeDiedError("gone")):
            RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=loss)
    named = list(inspect.signature(RayActorManager._actor_task_failed).parameters)
    require(named == ["self", "tracked_actor_task", "exception"], "_actor_task_failed is called by these names")
    found = [failure_of(error, tmp_path) for error in failed]
    assert not any(failure.raised or failure.process for failure in found)
    assert [failure.explained for failure in found] == [True, False, False]
    assert tune_private.Failure("ValueError: no", raised=True).explained
    assert tune_private.Failure("gone", raised=False, process=("node", 7)).explained
    assert found[0].text == f"95 % is used\n{tune_private.SHORT_OF_MEMORY}"


@pytest.mark.parametrize(("text", "said"), [("\x1b[36mFailure # 1\x1b[39m", "Failure # 1"), (None, "unknown error")])
@pytest.mark.parametrize("pickled", [None, b"", b"\x80\x05cut off"])
def test_without_the_error_itself_a_failure_is_what_ray_tune_has_written_of_it(tmp_path, text, said, pickled):
    trial = SimpleNamespace(pickled_error_file=None, error_file=None)
    if pickled is not None:
        trial.pickled_error_file = tmp_path / "error.pkl"
        trial.pickled_error_file.write_bytes(pickled)
    if text is not None:
        trial.error_file = tmp_path / "error.txt"
        trial.error_file.write_text(text)
    assert tune_private.failure_of(trial) == tune_private.Failure(said, raised=False)


def test_a_failure_that_ray_tune_tells_of_twice_counts_once(monkeypatch):
    for caller in (TuneController._actor_failed, TuneController._schedule_trial_reset):
        source = inspect.getsource(caller)
        require("self._trial_task_failure" in source, "the loss of a process before a trial is told of twice")
    named = list(inspect.signature(TuneController._trial_task_failure).parameters)
    require(named == ["self", "trial", "exception"], "_trial_task_failure is called by these names")
    source = inspect.getsource(TuneController._maybe_reuse_cached_actor)
    require("self._resetting_trials" in source, "a trial that is being reset is not started")
    counted: list[Exception] = []
    monkeypatch.setattr(TuneController, "_trial_task_failure", lambda _, trial, exception: counted.append(exception))
    controller: Any = SimpleNamespace(_resetting_trials={"a trial", "another"})
    losses = [NodeDiedError("gone"), NodeDiedError("gone")]
    with tune_private.surviving_losses():
        for loss in (losses[0], losses[0], losses[1]):
            TuneController._trial_task_failure(controller, "a trial", exception=loss)
    assert list(map(id, counted)) == list(map(id, losses))
    assert controller._resetting_trials == {"another"}


def test_resources_are_given_back_by_a_thread_that_holds_nobody_up(monkeypatch):
    head, given_back = threading.Event(), threading.Event()
    monkeypatch.setattr(PlacementGroupResourceManager, "clear", lambda _: head.wait(5) and given_back.set())
    manager = PlacementGroupResourceManager()
    del manager
    head.set()
    assert given_back.wait(60)


def test_resources_that_are_given_back_late_start_no_ray():
    require(hasattr(placement_group, "remove_placement_group"), "the manager gives back by remove_placement_group")
    with pytest.raises(ray.exceptions.RaySystemError, match="not been started"):
        placement_group.remove_placement_group(placement_group.PlacementGroup.empty())
    assert not ray.is_initialized()
