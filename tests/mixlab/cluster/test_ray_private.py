"""The private parts of Ray that ``mixlab.cluster.ray_private`` touches are as they were."""

import importlib
import inspect
import io
import json
import logging
import os
from collections.abc import Sized
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray
from ray import cloudpickle
from ray._private import services, state
from ray._private import worker as ray_worker
from ray._private.node import Node
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._raylet import wait_for_persisted_port  # type: ignore[attr-defined]
from ray.air.execution._internal.actor_manager import RayActorManager
from ray.core.generated.common_pb2 import ActorDiedErrorContext
from ray.dashboard import agent
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError, RpcError, WorkerCrashedError
from ray.job_config import JobConfig
from ray.train._internal.storage import StorageContext
from ray.tune import CheckpointConfig
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.utils.callback import _create_default_callbacks

from mixlab.cluster import ray_private
from mixlab.cluster.schedule import Silence
from tests.pins import pinned

PIN = pinned("ray")


def require(holds: bool, what: str) -> None:
    assert holds, f"{what}, as in ray {PIN}, no longer holds in ray {ray.__version__}: change cluster/ray_private.py"


def test_a_job_says_which_environment_it_gives_its_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(RAY_JOB_CONFIG_JSON_ENV_VAR, raising=False)
    assert ray_private.environment_of_job() == {}
    given = {"env_vars": {"OTHER": "1"}}
    monkeypatch.setenv(RAY_JOB_CONFIG_JSON_ENV_VAR, json.dumps({"runtime_env": given, "metadata": {}}))
    assert ray_private.environment_of_job() == given
    job = JobConfig.from_json(json.loads(os.environ[RAY_JOB_CONFIG_JSON_ENV_VAR]))
    require(job.runtime_env == given, "the environment is the runtime_env of the job's configuration")
    merged = ray_worker._merge_runtime_env(given, {"env_vars": {"OTHER": "2"}})
    require(merged is None, "Ray refuses a part that is given twice")


def test_a_failed_trial_asks_itself_once_whether_it_recovers() -> None:
    source = inspect.getsource(TuneController._process_trial_failure)
    require(source.count("trial.should_recover()") == 1, "TuneController asks trial.should_recover() once")
    assert inspect.getsource(TuneController).count("should_recover") == 1
    require("num_failures" in inspect.getsource(Trial.should_recover), "Trial counts run_metadata.num_failures")
    for name in ("pickled_error_file", "error_file"):
        require(isinstance(getattr(Trial, name), property), f"Trial.{name} names a file")


def test_a_trial_recovers_if_both_answers_are_yes() -> None:
    for usual in (True, False):
        for ours in (True, False):
            trial: Any = SimpleNamespace(should_recover=lambda usual=usual: usual)
            ray_private.ask_before_retry(trial, lambda _, ours=ours: ours)
            assert trial.should_recover() == (usual and ours)


def test_ray_tune_prints_nothing_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Even when told to be silent, it prints a line for each trial that ends without a report."""
    monkeypatch.setenv("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
    for given, silent in ([], False), ([Silence()], True):
        trial = Trial("stub", stub=True, trial_id="ends")
        for callback in _create_default_callbacks(given, air_verbosity=None):
            callback.on_trial_complete(1, [trial], trial)
        require(silent == (not capsys.readouterr().out), "TrialProgressCallback prints the end of a trial")


def test_ray_tune_keeps_no_trial_that_is_over_and_writes_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNE_MAX_PENDING_TRIALS_PG", "1")  # otherwise it asks a cluster, and there is none
    controller = TuneController(storage=StorageContext(tmp_path, "study"), trial_checkpoint_config=CheckpointConfig(1))
    runs = Trial("stub", stub=True, trial_id="runs")
    before = {name: len(held) for name, held in vars(controller).items() if isinstance(held, Sized)}
    controller.add_trial(runs)
    usual = TuneController.checkpoint
    with ray_private.forgetting():
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


class Client:
    """A stand-in that answers as Ray's client does, or not at all."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def internal_kv_exists(self, key: bytes, timeout: float) -> bool:
        if self.error is not None:
            raise self.error
        return False


def test_only_a_missing_answer_is_silence() -> None:
    assert ray_private.head_answers(Client(None), 1.0)
    for error in (RpcError("unavailable", rpc_code=14), RpcError("late", rpc_code=4), TimeoutError("late")):
        assert not ray_private.head_answers(Client(error), 1.0)
    for fault in (TypeError("timeout is no argument"), AttributeError("internal_kv_exists"), RpcError("who?", 16)):
        with pytest.raises(type(fault)):
            ray_private.head_answers(Client(fault), 1.0)


def test_ray_prints_its_own_words_by_one_function_and_knows_the_process_of_an_actor() -> None:
    printed = inspect.getsource(ray_worker.listen_error_messages)
    require(printed.count("print_to_stdstream(") == 1, "listen_error_messages prints by print_to_stdstream")
    require(hasattr(Node, "get_logs_dir_path"), "a node of Ray has a folder of logs")
    source = inspect.getsource(state.GlobalState._gen_actor_info)
    require('"Pid"' in source and '"NodeID"' in source, "state.actors() names an actor's process")


def test_what_ray_logs_is_not_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.StreamHandler(io.StringIO())  # as the driver has a file
    logging.getLogger().addHandler(log)
    ray_private.keep_off_the_terminal()
    logging.getLogger("ray.tune.execution.tune_controller").error("Trial task failed", exc_info=ValueError("lost"))
    logging.getLogger().removeHandler(log)
    assert "ValueError: lost" in log.stream.getvalue()
    assert capfd.readouterr() == ("", "")


def test_a_cluster_of_one_machine_starts_no_dashboard_autoscaler_or_log_monitor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(ray_private.PRESTART, "1")
    starting = inspect.getsource(Node.start_head_processes) + inspect.getsource(Node.start_ray_processes)
    for name in ("start_api_server", "start_monitor", "start_log_monitor"):
        usual = getattr(Node, name)
        require(starting.count(f"self.{name}(") == 1, f"a node starts a process by its {name}()")
        with ray_private.bare_cluster():
            assert getattr(Node, name)(None) is None
            assert os.environ[ray_private.PRESTART] == "0"
        assert getattr(Node, name) is usual
    assert os.environ[ray_private.PRESTART] == "1"


def test_the_raylet_has_no_dashboard_agent_for_whose_ports_it_would_wait(tmp_path: Path) -> None:
    source = inspect.getsource(services.start_raylet)
    for option in (ray_private.AGENT_COMMAND, "--session_dir=", "--node_id="):
        require(option in source, f"the raylet has the option {option}")
    require(source.count("start_ray_process(") == 1, "start_raylet() starts the raylet by start_ray_process()")
    minimal = inspect.getsource(agent.DashboardAgent)
    for name in ("METRICS_AGENT", "METRICS_EXPORT", "DASHBOARD_AGENT_LISTEN"):
        require(f"{name}_PORT_NAME" in minimal, "an agent tells these ports")
    node = 28 * "ab"  # hexadecimal
    raylet = [
        "raylet",
        f"--session_dir={tmp_path}",
        f"--node_id={node}",
        "--dashboard_agent_command=python agent.py",
        "--head",
    ]
    assert ray_private.without_agent(raylet) == [*raylet[:3], "--dashboard_agent_command=cat", "--head"]
    for port in ray_private.AGENT_PORTS:
        assert wait_for_persisted_port(str(tmp_path), node, port) == -1
    assert ray_private.without_agent(["gcs_server", "--head"]) == ["gcs_server", "--head"]


@pytest.mark.parametrize(
    ("text", "process"),
    [
        ("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR", ("node", 7)),
        ("The actor is dead because its node has died. Node Id: abc", None),
        ("The actor is dead because it was killed by `ray.kill`.", None),
    ],
)
def test_only_a_process_that_ended_by_itself_has_last_words(
    text: str, process: tuple[str, int] | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(state, "actors", lambda actor: {"Address": {"NodeID": "node"}, "Pid": 7})
    error = ActorDiedError(ActorDiedErrorContext(error_message=text, actor_id=b"1234567890123456"))
    error.args = ()  # the context itself cannot be pickled
    file = tmp_path / "error.pkl"
    file.write_bytes(cloudpickle.dumps(error))
    failure = ray_private.failure_of(SimpleNamespace(pickled_error_file=file))
    assert (failure.raised, failure.process) == (False, process)
    assert text in failure.text


def test_a_machine_short_of_memory_fails_the_trial_and_not_all_trials(tmp_path: Path) -> None:
    failed: list[Exception] = []
    manager: Any = SimpleNamespace(_failed_actor_ids=set(), _cleanup_actor=lambda tracked_actor: None)
    actor = SimpleNamespace(actor_id=1, _on_error=None)
    task: Any = SimpleNamespace(_tracked_actor=actor, _on_error=lambda _, error: failed.append(error))
    with pytest.raises(RuntimeError, match="Caught unexpected exception"):
        RayActorManager._actor_task_failed(manager, task, OutOfMemoryError("95 % is used"))
    with ray_private.surviving_losses():
        for loss in (OutOfMemoryError("95 % is used"), WorkerCrashedError(), NodeDiedError("gone")):
            RayActorManager._actor_task_failed(manager, tracked_actor_task=task, exception=loss)
    named = list(inspect.signature(RayActorManager._actor_task_failed).parameters)
    require(named == ["self", "tracked_actor_task", "exception"], "_actor_task_failed is called by these names")
    file = tmp_path / "error.pkl"
    found = []
    for error in failed:
        file.write_bytes(cloudpickle.dumps(error))
        found.append(ray_private.failure_of(SimpleNamespace(pickled_error_file=file)))
    assert not any(failure.raised or failure.process for failure in found)
    assert [failure.explained for failure in found] == [True, False, False]
    assert found[0].text == f"95 % is used\n{ray_private.SHORT_OF_MEMORY}"


def test_a_failure_that_ray_tune_tells_of_twice_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
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
    with ray_private.surviving_losses():
        for loss in (losses[0], losses[0], losses[1]):
            TuneController._trial_task_failure(controller, "a trial", exception=loss)
    assert list(map(id, counted)) == list(map(id, losses))
    assert controller._resetting_trials == {"another"}


def test_the_client_of_the_head_can_be_asked() -> None:
    found = vars(importlib.import_module("ray._raylet"))
    require("GcsClient" in found, "ray._raylet.GcsClient exists")
    require(hasattr(found.get("InnerGcsClient"), "internal_kv_exists"), "a client has internal_kv_exists")
