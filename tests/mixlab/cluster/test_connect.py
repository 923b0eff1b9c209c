"""Connecting to Ray says one sentence if Ray does not start, or nobody answers."""

import contextlib
import errno
import importlib
import os
import re
import signal
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock, call

import psutil
import pytest
import ray
import torch

import mixlab
import trainables
from mixlab.cluster import connect, head, ray_private
from mixlab.cluster.resources import Share, cpu_count
from mixlab.errors import BadInput, HeadLost
from tests.endings import refused
from tests.waiting import STANDING_STILL_SECONDS
from trainables import classify


def ray_raises(error: Exception, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Let a start of Ray raise ``error``; return what takes its place."""
    monkeypatch.setattr(ray, "init", init := Mock(side_effect=error))
    monkeypatch.setattr(head, "require_entrance", lambda address: None)
    return init


def refusal(address: str, *travelling: object) -> str:
    with pytest.raises(HeadLost if address == "local" else BadInput) as refused:
        connect.connected(address, *travelling).__enter__()
    return str(refused.value)


def test_what_keeps_ray_from_starting_is_a_sentence_with_its_root(monkeypatch):
    error = RuntimeError("Failed to set up runtime environment.\nFailed to upload module /mixlab")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    ray_raises(error, monkeypatch)
    assert re.fullmatch(r"Ray did not start[^\n]* \(No space[^\n]*session_latest/logs[^\n]*", refusal("local"))
    assert refusal("head:6379").startswith("no Ray cluster at --address 'head:6379': Failed to set up")


def test_a_cluster_of_this_machine_has_its_processors_and_any_other_is_asked_for_entrance(monkeypatch):
    init = ray_raises(RuntimeError("enough"), monkeypatch)
    monkeypatch.setattr(head, "require_entrance", entrance := Mock())
    for address in ("local", "head:6379"):
        refusal(address)
        assert init.call_args.kwargs["address"] == address
    alone, joined = (each.kwargs for each in init.call_args_list)
    assert (alone["num_cpus"], alone["include_dashboard"]) == (cpu_count(), False)
    assert not {"num_cpus", "include_dashboard"} & joined.keys()
    assert entrance.mock_calls == [call("head:6379")]


def test_sigterm_is_heard_by_whoever_heard_it_before_ray_started_and_ends_its_start_as_ctrl_c_does(monkeypatch):
    def start(**_: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # as Ray does
        if ends:
            signal.raise_signal(signal.SIGTERM)

    heard: list[int] = []  # also by whoever cleans up after a start that was ended
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    monkeypatch.setattr(ray, "init", start)
    monkeypatch.setattr(ray_private, "keep_off_the_terminal", lambda: None)
    try:
        for ends in (False, True):
            with pytest.raises(KeyboardInterrupt) if ends else contextlib.nullcontext():
                connect._start("local", [])
            heard.clear()
            signal.raise_signal(signal.SIGTERM)
            assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("address", ["a..b:6379", "nobody.invalid:6379", "[::1:1"])
def test_an_address_that_cannot_be_is_a_sentence(address):
    with pytest.raises(BadInput, match=re.escape(f"no Ray cluster answers at --address {address!r} (")):
        head.require_entrance(address)


def runtime_env(monkeypatch: pytest.MonkeyPatch, *travelling: object, address: str = "local") -> dict[str, Any]:
    """Return what Ray is told about the environment of a worker."""
    init = ray_raises(RuntimeError("enough"), monkeypatch)
    refusal(address, *travelling)
    return init.call_args.kwargs["runtime_env"]


def python(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, **options)


def test_a_worker_has_huge_pages_where_the_user_has_set_nothing_else_for_the_c_library(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert runtime_env(monkeypatch)["env_vars"]["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.perturb=1")
    assert runtime_env(monkeypatch)["env_vars"]["GLIBC_TUNABLES"] == "glibc.malloc.perturb=1"


def test_a_worker_has_one_arena_for_all_its_threads_and_one_that_waits_spins_briefly(monkeypatch):
    """With an arena for each thread, a process would grow by 20 to 60 MiB a trial.

    On a busy machine, ten milliseconds of spinning would triple the time of a step.
    """
    variables = runtime_env(monkeypatch)["env_vars"]
    assert (variables["MALLOC_ARENA_MAX"], variables["GOMP_SPINCOUNT"]) == ("1", "3000")
    (openmp,) = (Path(torch.__file__).parent / "lib").glob("libgomp*")  # importing torch loads it
    code = f"import ctypes, mixlab; ctypes.CDLL({str(openmp)!r})"
    done = python("-c", code, env={**os.environ, "OMP_DISPLAY_ENV": "verbose"}, check=True)
    assert "GOMP_SPINCOUNT = '3000'" in done.stderr


def test_a_trainable_travels_whatever_it_is_and_wherever_it_was_imported_from(tmp_path, monkeypatch):
    """It may be in a file outside any package, which a notebook or a script has made importable."""
    file = tmp_path / "a_file_in_no_package.py"
    file.write_text("class Train:\n    pass\n\n\ndef train():\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(file.stem)
    ours = mixlab.__path__[0]
    for trainable in (module.Train(), module.train, module):
        near = runtime_env(monkeypatch, trainable)
        far = runtime_env(monkeypatch, trainable, address="head:6379")  # its machines have other folders
        assert near["py_modules"] == far["py_modules"] == [ours, str(file)]
        assert near["env_vars"]["PYTHONPATH"].split(os.pathsep)[0] == str(tmp_path)
        assert far["env_vars"]["PYTHONPATH"].split(os.pathsep)[1:] == [os.getcwd()]
    assert runtime_env(monkeypatch, classify.train)["py_modules"] == [ours, trainables.__path__[0]]
    assert runtime_env(monkeypatch, None)["py_modules"] == [ours]


def test_a_trainable_that_holds_what_cannot_be_copied_is_refused_before_ray_starts(monkeypatch):
    init = ray_raises(RuntimeError("too late"), monkeypatch)
    with refused("the trainable cannot be copied to the trials (cannot pickle '_thread.lock' object): make what"):
        connect.connected("local", partial(print, threading.Lock())).__enter__()
    assert not init.called


def test_nothing_is_given_twice_in_a_job_that_brings_its_own_code(monkeypatch):
    """Ray refuses that."""
    assert set(runtime_env(monkeypatch)) == {"py_modules", "env_vars", "working_dir"}
    given = {"working_dir": "gcs://repository.zip", "env_vars": {"PYTHONPATH": "lib", "OTHER": "1"}}
    monkeypatch.setattr(ray_private, "environment_of_job", lambda: given)
    ours = runtime_env(monkeypatch, address="head:6379")
    assert set(ours) == {"py_modules", "env_vars"}
    assert set(ours["env_vars"]) == {"MALLOC_ARENA_MAX", "GLIBC_TUNABLES", "GOMP_SPINCOUNT"}


def test_every_node_with_a_gpu_answers_once_and_one_that_is_lost_meanwhile_not_at_all(monkeypatch):
    there = {name: {"Resources": gpus} for name, gpus in (("a", {"GPU": 2.0}), ("b", {}), ("c", {"GPU": 0.5}))}
    errors: dict[str, Exception] = {}

    def results(tasks: list[str]) -> list[str]:
        if tasks[0] in errors:
            raise errors[tasks[0]]
        return tasks

    def asked(gpus: float) -> list[str]:
        return connect.on_every_gpu_node(print, "item", Share(cpus=1, gpus=gpus))

    monkeypatch.setattr(connect, "alive", lambda: dict(there))
    monkeypatch.setattr(connect, "call_on", lambda node, function, cpus, gpus: node)
    monkeypatch.setattr(head, "results", results)
    assert (asked(0.5), asked(1.0)) == (["a", "c"], ["a"])
    errors["c"] = ray.exceptions.RayTaskError("work", "", MemoryError("of the trainable"))
    with pytest.raises(MemoryError, match="of the trainable"):
        asked(0.5)
    errors["c"] = ray.exceptions.NodeDiedError("gone")
    with pytest.raises(ray.exceptions.NodeDiedError):  # though the node is there
        asked(0.5)
    monkeypatch.setattr(connect, "alive", Mock(side_effect=[dict(there), {}]))
    assert asked(0.5) == ["a"]


@pytest.mark.slow
def test_workers_have_the_code_of_the_start_though_it_is_edited_meanwhile(tmp_path):
    """They must not import from the study's folder, where the code may have changed before they do."""
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "__init__.py").write_text("def ask(_):\n    import lab.answer\n    return lab.answer.IT\n")
    (tmp_path / "lab" / "answer.py").write_text("IT = 'of the start'\n")
    code = """
import mixlab, lab, pathlib
from mixlab.cluster import connect, resources
with connect.connected("local", lab):
    pathlib.Path("lab/answer.py").write_text("IT = 'edited'")
    print(connect.map_on(lab.ask, [None], resources.Share(cpus=1, gpus=0)))
"""
    (tmp_path / "study.py").write_text(code)
    assert python(tmp_path / "study.py", cwd=tmp_path, check=True).stdout == "['of the start']\n"


@pytest.mark.slow
def test_ray_that_was_imported_first_is_named():
    """It would start without the token that its own processes ask for, and wait for them in vain."""
    code = "import ray; from mixlab.cluster import connect; connect.connected('local').__enter__()"
    without = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
    sentence = "ray was imported before mixlab, which sets RAY_AUTH_MODE=token for it: import mixlab first\n"
    assert python("-c", code, env=without).stderr.endswith(sentence)


@pytest.mark.slow
def test_a_thread_connects_and_a_second_connection_of_the_process_is_refused():
    code = """
import mixlab, threading
from mixlab.cluster import connect
def twice():
    with connect.connected("local"):
        print("connected", flush=True)
        connect.connected("auto").__enter__()
threading.Thread(target=twice).start()
"""
    done = python("-c", code)
    assert done.stdout == "connected\n"
    assert "BadInput: this process is connected to Ray already: call ray.shutdown() first" in done.stderr


@pytest.mark.slow
def test_a_cluster_of_one_machine_has_only_the_processes_that_trials_need():
    code = """
import mixlab, ray, time
from mixlab.cluster import connect
with connect.connected("local"):
    print("connected", connect.ray_private.folder(), flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as driver:
        said, session = driver.stdout.readline().split()
        assert said == "connected"
        assert [part.stat().st_mode & 0o777 for part in Path(session).parents][:2] == [0o777, 0o700]
        started = psutil.Process(driver.pid).children(recursive=True)
        programs = {process.name(): process for process in started}
        sockets = [each for process in started for each in process.net_connections("inet") if each.status == "LISTEN"]
        driver.kill()
    assert {each.laddr.ip.removeprefix("::ffff:") for each in sockets} == {"127.0.0.1"}
    # The last takes the place of the dashboard's agent.
    assert sorted(programs) == sorted(("gcs_server", "raylet", "ray::RuntimeEnvAgent", "cat"))
    assert len(started) == len(programs)
    del programs["ray::RuntimeEnvAgent"]  # it ends by itself, after Ray's own deadline
    assert psutil.wait_procs(programs.values(), timeout=STANDING_STILL_SECONDS)[1] == []
