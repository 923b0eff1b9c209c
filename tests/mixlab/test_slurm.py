"""A study on a real SLURM: a job on two nodes that meets its time limit goes on on one, and records everything once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixlab import installation
from mixlab import slurm as script
from tests.mixlab.recorded import require_everything_once
from tests.servers import slurm
from tests.servers.machines import make_switch, run_on_the_switch
from tests.study_folder import TOY, toy_folder
from tests.toy import epochs_of, hold, release
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

ON_ITS_WAY = ("PENDING", "CONFIGURING", "RUNNING", "SIGNALING", "COMPLETING", "REQUEUED")  # states of a job
EPOCHS = 8
# A study of tests/toy.py.
STUDY = f"""
import runpy, sys

sys.argv.insert(1, "recorded")
runpy.run_path({str(TOY)!r}, run_name="__main__")
"""


@pytest.mark.skipif(bool(slurm.why_not()), reason=slurm.why_not())
def test_a_job_at_its_time_limit_is_requeued_and_records_everything_once(tmp_path):
    run_on_the_switch(run_a_job, tmp_path)


@pytest.mark.skipif(bool(slurm.why_not()), reason=slurm.why_not())
def test_a_job_that_was_cancelled_does_not_run_again(tmp_path):
    run_on_the_switch(cancel_a_job, tmp_path)


def cancel_a_job(folder: Path) -> None:
    """Cancel a job whose study only waits until it is stopped."""
    make_switch()
    python = folder / "python"
    python.write_text("#!/bin/sh\ntrap 'sleep 1; exit 130' TERM\necho started\nwhile :; do sleep 0.1; done\n")
    python.chmod(0o755)
    with slurm.running() as cluster:
        options = ("--parsable", "--cpus-per-task=1", f"--export=ALL,MIXLAB_BIN={folder}")
        job = cluster.ask("sbatch", *options, str(installation.slurm_script()), "any", folder=folder)
        said = folder / f"mixlab-{job}.out"
        wait_for(lambda: said.exists() and "started" in said.read_text())
        cluster.ask("scancel", job)
        wait_for(lambda: cluster.job(job)["JobState"] == "CANCELLED", lambda: cluster.job(job)["Restarts"])


def run_a_job(folder: Path) -> None:
    """Run everything in a network and a process namespace of its own, in which both nodes are."""
    make_switch()
    folder /= "study"
    store = f"sqlite:///{folder}/mlflow-study.py.db"  # the name that the batch script gives it
    toy = toy_folder(folder, "recorded", study="study", tracking_uri=store)
    (folder / "study.py").write_text(STUDY)
    job_options = ("--nodes", "2", "--cpus", "1", "--out", str(folder / "job.sbatch"))
    options = ("--quiet", "--epochs", str(EPOCHS), "--set", "where=true")
    assert script.main([*job_options, str(folder / "study.py"), *options]) == 0
    hold(folder, epoch=5)
    with slurm.running(nodes=2) as cluster:
        job = cluster.ask("sbatch", "--parsable", "--signal=B:TERM@1", "job.sbatch", folder=folder)
        said = folder / f"mixlab-{job}.out"

        def output() -> str:
            return said.read_text() if said.exists() else ""

        def wait_until(condition: Callable[[], bool]) -> None:
            """Return once the condition is true; fail if the job has ended in any other way."""

            def asked() -> bool:
                state = cluster.job(job)["JobState"]  # first: the job may end before the condition is looked at
                true = condition()
                assert true or state in ON_ITS_WAY, f"{state}: {output()}"
                return true

            wait_for(asked, output, output, pause=0.5)  # each asks SLURM by a command

        wait_until(lambda: list(epochs_of(folder).values()) == [[1, 2, 3, 4]] * 2)
        # SLURM counts in minutes, and sends TERM half a minute early, or a little later: half a minute must be left.
        hours, minutes, seconds = map(int, cluster.job(job)["RunTime"].split(":"))
        limit = 60 * hours + minutes + (1 if seconds < 30 else 2)
        cluster.ask("scontrol", "update", f"jobid={job}", f"timelimit={limit}")
        wait_until(lambda: cluster.job(job)["Restarts"] == "1")
        cluster.ask("scontrol", "update", f"jobid={job}", "timelimit=100", "numnodes=1", "numtasks=1", "numcpus=1")
        assert max(map(max, epochs_of(folder).values())) == 4
        release(folder)
        wait_until(lambda: cluster.job(job)["JobState"] == "COMPLETED")
    require_everything_once(toy, epochs=EPOCHS)
    undisturbed = toy_folder(folder / "undisturbed", "recorded", study="undisturbed")
    undisturbed.run_here(*options)
    assert toy.table("paper") == undisturbed.table("paper")
    nodes = {node for history in toy.results().values() for _, node in history["node"]}
    assert len(nodes) == 3  # Ray names them anew at each start: two, and then one
