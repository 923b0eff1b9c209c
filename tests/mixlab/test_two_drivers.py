"""Two drivers on two machines with one bucket: one trains, the other says who is at work, and takes over from the dead.

The machines are processes with a host's name, a home and a working folder of their own.
"""

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixlab.processes import repeated
from tests.servers import s3
from tests.servers.isolation import AS_ROOT
from tests.servers.program import Program, environment
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import epochs_of, hold, notes, release
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

WATCH_SECONDS = 8.0
OPTIONS = ("--epochs", "5", "--seeds", "2")
UNSHARE = ("unshare", *AS_ROOT, "--uts")


@dataclass(frozen=True)
class Host:
    """A host's name for a driver, in place of a ``Machine``."""

    name: str

    def inside(self, folder: Path, *command: str) -> list[str]:
        return [*UNSHARE, "sh", "-c", f'hostname {self.name} && exec "$@"', self.name, *command]


@pytest.fixture(scope="module")
def server() -> Iterator[s3.S3]:
    if subprocess.run([*UNSHARE, "true"], capture_output=True).returncode:
        pytest.skip("the kernel grants no host's name of its own")
    with s3.running() as started:
        yield started


def test_one_trains_and_the_other_takes_over_from_the_dead(server, tmp_path, tracking_uri):
    bucket = server.create_bucket()
    given = environment(**server.environment, BEAT_SECONDS="1", WATCH_SECONDS=str(WATCH_SECONDS))
    options = (*OPTIONS, "--storage", server.uri(f"{bucket}/results"))
    studies: dict[str, StudyFolder] = {}
    with ExitStack() as stack:
        drivers: dict[str, Program] = {}
        for name in ("node-a", "node-b"):
            folder = tmp_path / name / "study"
            folder.mkdir(parents=True)
            own = {**given, "HOME": str(folder)}
            studies[name] = toy_folder(folder, "recorded", "study", tracking_uri=tracking_uri, environment=own)
            hold(folder, epoch=2)
        for name, study in studies.items():  # at once
            drivers[name] = stack.enter_context(study.start(*options, at=Host(name)))

        def training() -> list[str]:
            return [name for name in studies if epochs_of(studies[name].folder) == {0: [1], 1: [1]}]

        def said_by_both() -> str:
            return "\n".join(driver.said for driver in drivers.values())

        (at_work,) = wait_for(training, said_by_both, account=said_by_both)
        (other,) = studies.keys() - {at_work}
        said = drivers[other].finish(code=2)
        assert f"error: another start of this study, on {at_work} (process " in said, said
        assert "has been at work in this storage since 20" in said
        assert not notes(studies[other].folder, "began")

        drivers[at_work].until(lambda: server.whole_checkpoints(bucket, "epoch", "model.pt", "optimiser") == 2)
        drivers[at_work].kill()
        release(studies[other].folder)
        stack.enter_context(studies[other].start(*options, at=Host(other), log="again.txt")).finish()
    together = [epochs_of(studies[name].folder) for name in (at_work, other)]
    for seed in (0, 1):
        assert [epochs[seed] for epochs in together] == [[1], [2, 3, 4, 5]]
    assert studies[other].statuses() == {"FINISHED"}
    assert len(studies[other].runs("seed")) == 2
    assert server.files(bucket) == []


def test_a_search_whose_history_is_a_file_is_one_machines_own(server, tmp_path, tracking_uri):
    bucket, beats = server.create_bucket(), itertools.count()
    file = f"{bucket}/results/search/searching"

    def beat() -> None:
        server.write(file, f"node7/1-2 pid:[1]#12@34 since 2026-01-01 10:00:00 beat {next(beats)}".encode())

    beat()
    search = toy_folder(
        tmp_path, "short search", "search", tracking_uri=tracking_uri, environment=environment(**server.environment)
    )
    with repeated(beat, 0.5, "beat"):
        said = search.run_here("--storage", server.uri(f"{bucket}/results"), code=2)
    assert "error: another start of this study, on node7 (process 12), has been at work" in said, said
    assert not notes(tmp_path, "began")
