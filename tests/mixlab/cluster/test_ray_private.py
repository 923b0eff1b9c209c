"""The private parts of Ray that ``mixlab.cluster.ray_private`` touches are as they were."""

import importlib
import inspect
import io
import json
import logging
import os
import platform
import socket
import sys
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
import ray
from ray._private import ray_constants, services, state
from ray._private import worker as ray_worker
from ray._private.node import Node
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR
from ray._private.runtime_env.context import RuntimeEnvContext
from ray._private.utils import check_version_info
from ray._raylet import wait_for_persisted_port
from ray.core.generated.common_pb2 import Language
from ray.dashboard import agent
from ray.exceptions import RpcError
from ray.job_config import JobConfig

from mixlab.cluster import ray_private, setup_worker
from tests import pins

require = partial(pins.require, package=ray, file="cluster/ray_private.py")


def test_a_job_says_which_environment_it_gives_its_workers(monkeypatch):
    monkeypatch.delenv(RAY_JOB_CONFIG_JSON_ENV_VAR, raising=False)
    assert ray_private.environment_of_job() == {}
    given = {"env_vars": {"OTHER": "1"}}
    monkeypatch.setenv(RAY_JOB_CONFIG_JSON_ENV_VAR, json.dumps({"runtime_env": given, "metadata": {}}))
    assert ray_private.environment_of_job() == given
    job = JobConfig.from_json(json.loads(os.environ[RAY_JOB_CONFIG_JSON_ENV_VAR]))
    require(job.runtime_env == given, "the environment is the runtime_env of the job's configuration")
    merged = ray_worker._merge_runtime_env(given, {"env_vars": {"OTHER": "2"}})
    require(merged is None, "Ray refuses a part that is given twice")


def test_only_a_missing_answer_is_silence():
    exists = Mock(return_value=False)

    def answers() -> bool:
        return ray_private.head_answers(Mock(internal_kv_exists=exists), 1.0)

    assert answers()
    assert exists.call_args.kwargs == {"timeout": 1.0}
    for exists.side_effect in (RpcError("unavailable", 14), RpcError("late", 4), TimeoutError("late")):
        assert not answers()
    for fault in (TypeError("timeout is no argument"), AttributeError("internal_kv_exists"), RpcError("who?", 16)):
        exists.side_effect = fault
        with pytest.raises(type(fault)):
            answers()


def test_ray_prints_its_own_words_by_one_function_and_knows_the_process_of_an_actor():
    printed = inspect.getsource(ray_worker.listen_error_messages)
    require(printed.count("print_to_stdstream(") == 1, "listen_error_messages prints by print_to_stdstream")
    require(hasattr(Node, "get_logs_dir_path"), "a node of Ray has a folder of logs")
    source = inspect.getsource(state.GlobalState._gen_actor_info)
    require('"Pid"' in source and '"NodeID"' in source, "state.actors() names an actor's process")


def test_what_ray_logs_is_not_on_the_terminal(capfd):
    log = logging.StreamHandler(io.StringIO())  # as the driver has a file
    logging.getLogger().addHandler(log)
    ray_private.keep_off_the_terminal()
    logging.getLogger("ray.tune.execution.tune_controller").error("Trial task failed", exc_info=ValueError("lost"))
    logging.getLogger().removeHandler(log)
    assert "ValueError: lost" in log.stream.getvalue()
    assert capfd.readouterr() == ("", "")


def test_a_cluster_of_one_machine_starts_no_dashboard_autoscaler_or_log_monitor(monkeypatch):
    one, other = ray_private.ALONE
    monkeypatch.setenv(one, "1")
    monkeypatch.delenv(other, raising=False)
    starting = inspect.getsource(Node.start_head_processes) + inspect.getsource(Node.start_ray_processes)
    for name in ("start_api_server", "start_monitor", "start_log_monitor"):
        usual = getattr(Node, name)
        require(starting.count(f"self.{name}(") == 1, f"a node starts a process by its {name}()")
        with ray_private.bare_cluster():
            assert getattr(Node, name)(None) is None
            assert os.environ.items() >= ray_private.ALONE.items()
            assert not ray_constants.ENABLE_RAY_CLUSTER
        assert getattr(Node, name) is usual
    assert (os.environ[one], os.environ.get(other), ray_constants.ENABLE_RAY_CLUSTER) == ("1", None, True)


def test_the_raylet_has_no_dashboard_agent_for_whose_ports_it_would_wait(tmp_path):
    source = inspect.getsource(services.start_raylet)
    for option in (ray_private.AGENT_COMMAND, "--session_dir=", "--node_id="):
        require(option in source, f"the raylet has the option {option}")
    require(source.count("start_ray_process(") == 1, "start_raylet() starts the raylet by start_ray_process()")
    minimal = inspect.getsource(agent.DashboardAgent)
    for name in ("METRICS_AGENT", "METRICS_EXPORT", "DASHBOARD_AGENT_LISTEN"):
        require(f"{name}_PORT_NAME" in minimal, "an agent tells these ports")
    node = 28 * "ab"  # hexadecimal
    raylet = ["raylet", f"--session_dir={tmp_path}", f"--node_id={node}"]
    with_agent = [*raylet, "--dashboard_agent_command=python agent.py --gcs=host", "--head"]
    assert ray_private.without_agent(with_agent) == [*raylet, "--dashboard_agent_command=cat", "--head"]
    for port in ray_private.AGENT_PORTS:
        assert wait_for_persisted_port(str(tmp_path), node, port) == -1
    assert ray_private.without_agent(["gcs_server", "--head"]) == ["gcs_server", "--head"]


def test_a_worker_is_set_up_as_ray_sets_it_up(monkeypatch):
    path = inspect.getsource(Node.__init__)
    require(path.count("ray_constants.SETUP_WORKER_FILENAME") == 1, "a node takes the file that sets up its workers")
    with ray_private.bare_cluster():
        file = Path(services.__file__).parent / "workers" / ray_constants.SETUP_WORKER_FILENAME
        assert file.samefile(setup_worker.__file__)
    assert file.name == ray_constants.SETUP_WORKER_FILENAME  # for which Ray looks in the command of a worker
    variables = {"HERE": "${HOME}/a ${LACKING_HERE}b", "PLAIN": "1"}
    context = RuntimeEnvContext(["cd", "/tmp", "&&"], variables, "/usr/bin/python3")
    worker = ["default_worker.py", "--name=it's", "--startup-token=3"]
    options = ["--language=PYTHON", f"{setup_worker.CONTEXT}{context.serialize()}"]
    started: list[tuple[object, ...]] = []

    def become(file: str, args: list[str]) -> None:
        started.append((file, args, *(os.environ.pop(name) for name in variables)))

    monkeypatch.setattr(os, "execvp", become)
    context.exec_worker(worker, Language.PYTHON)
    monkeypatch.setattr(sys, "argv", [str(file), *worker, *options])
    setup_worker.main()
    require(started[0] == started[1], "a worker is set up by its environment, and by bash")


def test_a_signal_to_the_group_of_a_study_does_not_end_ray_before_the_study():
    require("ConsolePopen(" in inspect.getsource(services.start_ray_process), "ConsolePopen starts Ray's processes")
    with ray_private.bare_cluster(), services.ConsolePopen(["sleep", "100"]) as process:
        try:
            assert os.getpgid(process.pid) == process.pid != os.getpgid(0)
        finally:
            process.kill()


def test_the_client_of_the_head_can_be_asked():
    found = vars(importlib.import_module("ray._raylet"))
    require("GcsClient" in found, "ray._raylet.GcsClient exists")
    require(hasattr(found.get("InnerGcsClient"), "internal_kv_exists"), "a client has internal_kv_exists")


@pytest.mark.slow
def test_a_head_is_asked_as_ray_asks_it(monkeypatch):
    from ray.scripts import scripts  # with it, Ray's servers, which nothing else needs

    assert ray_private.place_of("head:1") == ("head", 1)
    assert ray_private.place_of("localhost:1") == (services.get_node_ip_address(), 1)
    monkeypatch.setenv("RAY_ADDRESS", "gone:2")  # as of a head that has died
    assert ray_private.place_of("auto") == ("gone", 2)
    source = inspect.getsource(scripts.healthcheck.callback)
    for name in ("canonicalize_bootstrap_address_or_die", "GcsClient(address=address)"):
        require(name in source, f"`ray health-check` calls {name}")
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TimeoutError, match=r"no answer within 0\.2 s"),
    ):
        ray_private.refusal(f"127.0.0.1:{silent.getsockname()[1]}", seconds=0.2)
    refusal = ray_private.refusal("nonsense", seconds=60)
    assert refusal.strip().endswith("ValueError: Invalid address format: nonsense")


def test_versions_that_differ_are_found_in_what_ray_says():
    cluster = {"ray_version": "2.1.0", "python_version": "3.10.4"}
    with pytest.raises(RuntimeError) as mismatch:
        check_version_info(cluster, "the driver")
    ours = (ray.__version__, platform.python_version())
    require(ray_private.versions_of(mismatch.value) == ["2.1.0", "3.10.4", *ours], "a mismatch names all versions")
    assert ray_private.versions_of(RuntimeError("Ray: gone")) == []


def test_ray_says_that_a_machine_is_not_a_node():
    with pytest.raises(RuntimeError) as caught:
        services.get_node_to_connect_for_driver(None, timeout_seconds=0)
    refusal = ConnectionError("Failed to connect to Ray cluster at head:6379")
    refusal.__cause__ = caught.value
    require(ray_private.lacks_node(refusal), "a driver that is on no node is told so")
    assert not ray_private.lacks_node(ConnectionError("No route to host"))
    require(hasattr(services, "find_node_ids"), "ray._private.services finds the nodes of this machine")
