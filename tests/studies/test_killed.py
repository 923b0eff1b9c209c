"""An ablation on real images that is stopped and killed goes on, with the numbers of an undisturbed training."""

import hashlib
import json
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from mixlab import Epoch
from tests.servers.program import Program
from tests.studies.small_ablation import ROOT, study_folder
from tests.study_folder import TIMES_AND_MEMORY, StudyFolder
from trainables import classify


def require_loopback(driver: Program) -> None:
    """Require that the driver and all that it has started listen on loopback alone."""
    sockets = [
        connection.laddr
        for process in (psutil.Process(driver.process.pid), *driver.children())
        for connection in process.net_connections("inet")
        if connection.status == "LISTEN"
    ]
    assert len(sockets) > 3
    assert {address.ip.removeprefix("::ffff:") for address in sockets} <= {"127.0.0.1", "::1"}


def require_undisturbed(study: StudyFolder, folder: Path) -> None:
    """Require of every run the numbers and the network of the same training in this process."""
    results = study.results()
    assert set(results) == {("baseline", "0"), ("+ lam", "0")}
    for run in study.runs("seed"):
        config = json.loads(Path(study.client.download_artifacts(run.info.run_id, "config.json")).read_text())
        seed, epochs = config.pop("seed"), []

        def keep(epoch: Epoch, save: Callable[[Path], None], epochs: list[Epoch] = epochs) -> None:
            epochs.append(epoch)
            save(folder)

        classify.train(config, seed, keep, data_root=ROOT / "data")
        assert len(epochs) == 4
        found = results[run.data.tags["mixlab.arm"], str(seed)]
        for name in epochs[0].metrics.keys() - TIMES_AND_MEMORY:
            assert found[name] == [(epoch.number, epoch.metrics[name]) for epoch in epochs], name
        assert found["model"] == hashlib.sha256((folder / "model.pt").read_bytes()).hexdigest()


@pytest.mark.slow
def test_whatever_is_stopped_or_killed_goes_on_and_every_number_is_the_same(tmp_path: Path, empty_store: Path) -> None:
    study = study_folder(tmp_path, empty_store)
    driver = study.start()
    study.wait_for_new_checkpoint(driver)
    require_loopback(driver)
    (worker, *_) = driver.children("ray::ImplicitFu")
    worker.kill()
    driver.until_said("crashed")
    study.wait_for_new_checkpoint(driver)
    driver.interrupt(signal.SIGTERM)  # as a batch system or a container's engine ends it
    assert "To go on: python" in driver.finish(code=130, seconds=30)
    assert "RUNNING" not in study.statuses()

    driver = study.start()
    study.wait_for_new_checkpoint(driver)
    driver.interrupt(signal.SIGKILL)
    driver.process.wait()

    assert "goes on after epoch" in study.run_here()
    assert study.statuses() == {"FINISHED"}
    require_undisturbed(study, tmp_path)
