"""SIGTERM from a batch system, before Ray is up and to Ray too: the study stops as always, and is requeued."""

import os
import signal
from contextlib import suppress

import psutil
import pytest

from mixlab.slurm import main
from tests.mixlab.test_slurm_script import TINY
from tests.servers.program import Program
from tests.study_folder import toy_folder
from tests.toy import hold, notes
from tests.waiting import wait_for

JOB = "987654321"  # no cluster has this job
# The batch script starts these: Ray is on a node that never answers, and all others note how they were called.
PROGRAMS = {
    "python": 'echo "python $*" >> notes; echo secret',
    "ray": "echo ray >> notes; exit 1",
    "srun": 'printf "%s\\n" "$RAY_AUTH_MODE $RAY_AUTH_TOKEN" "srun $*" >> notes; [ "$2" = rm ] || exec /bin/sleep 100',
    "scontrol": 'echo "scontrol $*" >> notes; echo "JobId=1 JobState=RUNNING Reason=None"',
    "sleep": "exec /bin/sleep 0.01",
}


def test_a_job_that_is_stopped_while_it_waits_for_ray_is_requeued(tmp_path):
    for name, content in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{content}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tiny.py").write_text(TINY)
    assert main(["--nodes", "2", "--out", str(tmp_path / "job"), str(tmp_path / "tiny.py")]) == 0
    own = {"MIXLAB_BIN": str(tmp_path), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    slurm = {"SLURM_JOB_ID": JOB, "SLURM_JOB_NUM_NODES": "2"}
    with Program(["bash", "job"], tmp_path, environment={**os.environ, **own, **slurm}) as job:
        notes = tmp_path / "notes"
        wait_for(lambda: notes.exists() and "ray" in notes.read_text())
        job.interrupt(signal.SIGTERM)
        job.finish(code=143)
    lines = notes.read_text().splitlines()
    asked = f"scontrol show job --oneliner {JOB}"  # whether it was cancelled
    assert lines[-3:] == [f"srun --ntasks-per-node=1 rm -rf /tmp/ray-{JOB}", asked, f"scontrol requeue {JOB}"]
    assert lines.count("token secret") == 2  # Ray is started, and its folder removed, where the token is known
    assert not [line for line in lines if "mixlab run" in line]  # the study was not started any more


@pytest.mark.slow
@pytest.mark.parametrize("with_ray", [False, True], ids=["while Ray starts", "together with Ray"])
def test_a_study_that_is_stopped_early_or_with_ray_has_true_states(tmp_path, empty_store, with_ray):
    toy = toy_folder(tmp_path, "large", empty_store=empty_store)
    hold(tmp_path, 2)
    with toy.start() as driver:
        driver.until(lambda: notes(tmp_path, "reported") if with_ray else driver.children("gcs_server"))
        started = driver.children()
        driver.interrupt(signal.SIGTERM)
        for each in started if with_ray else ():
            with suppress(psutil.NoSuchProcess):  # the driver ends Ray's processes at the same time
                each.terminate()
        assert "Traceback" not in driver.finish(code=130)
    wait_for(lambda: not any(each.is_running() for each in started))
    assert "RUNNING" not in toy.statuses()
