"""A SLURM on this machine: a real controller, real node daemons and munge, as the current user, in a temporary folder.

It needs a network and a process namespace of its own (``machines.run_on_the_switch``): nothing of it, and no job, then
outlives whoever started it, and its ports are free.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.servers import machines
from tests.servers.folders import temporary
from tests.servers.program import Program
from tests.servers.server import started
from tests.waiting import wait_for

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
REQUEUED_AFTER = 5  # seconds that a job waits before it may start again

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthInfo=socket={folder}/munge.socket,cred_expire={requeued_after}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
FirstJobId={first_job}
NodeName=n[1-{nodes}] NodeHostname={host} NodeAddr=127.0.0.1 Port=[17001-{last_port}] CPUs=1 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str:
    """Return why there can be no SLURM here; an empty text if there can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    return f"not installed: {', '.join(missing)} (make debian)" if missing else machines.why_not()


class Slurm:
    """The nodes and their controller. Made by ``running``."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder = folder
        self.nodes = [f"n{number + 1}" for number in range(nodes)]
        self.environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(folder / "slurm.conf")}
        for name in ("state", *(f"spool-{node}" for node in self.nodes)):
            (folder / name).mkdir()
        (folder / "munge.key").write_bytes(secrets.token_bytes(128))
        (folder / "munge.key").chmod(0o400)
        text = CONFIGURATION.format(
            host=socket.gethostname().partition(".")[0],
            user=pwd.getpwuid(os.geteuid()).pw_name,
            folder=folder,
            requeued_after=REQUEUED_AFTER,
            nodes=nodes,
            last_port=17000 + nodes,
            first_job=1 + secrets.randbelow(10**6),
        )
        (folder / "slurm.conf").write_text(text)

    def start(self) -> None:
        """Start munge, the controller and the nodes; return once the nodes are idle."""
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder}/munge.{ending}" for option, ending in files.items()]
        # This is forced, because it wants a folder that every user may enter.
        self.programs: list[Program] = []
        self._start("munged", "--foreground", "--force", *options)
        wait_for((self.folder / "munge.socket").exists)
        self._start("slurmctld", "-D")
        for node in self.nodes:
            self._start("slurmd", "-D", "-N", node)
        self.programs[-1].until(self._idle)

    def stop(self) -> None:
        for program in reversed(self.programs):
            program.end()

    def ask(self, *command: str, folder: Path | None = None) -> str:
        """Return the output of one of SLURM's commands, started in ``folder``."""
        done = subprocess.run(command, cwd=folder or self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout.strip()

    def job(self, number: str) -> dict[str, str]:
        """Return what the controller knows of a job, by its own names, such as ``JobState`` and ``Restarts``."""
        words = self.ask("scontrol", "show", "job", "--oneliner", number).split()
        return {name: value for name, equals, value in (word.partition("=") for word in words) if equals}

    def _start(self, *command: str) -> None:
        log = f"{command[0]}-{len(self.programs)}.txt"
        self.programs.append(Program(command, self.folder, log, self.environment))

    def _idle(self) -> bool:
        found = subprocess.run(
            ["sinfo", "--noheader", "--format=%T %D"], env=self.environment, capture_output=True, text=True
        )
        return found.stdout.strip() == f"idle {len(self.nodes)}"


@contextlib.contextmanager
def running(nodes: int = 1) -> Iterator[Slurm]:
    """Yield a SLURM of so many nodes, of one processor each, inside the block."""
    with temporary("slurm") as folder, started(Slurm(folder, nodes)) as slurm:
        yield slurm


def _path() -> str:
    """Return where to look for programs: daemons lie in folders that only root searches."""
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"
