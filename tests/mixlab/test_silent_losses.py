"""Machines that fall silent, as without power or cable: no connection is closed, and everything is recorded once."""

import contextlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mixlab.recorded import furthest, require_everything_once, wait_for_word_of_the_head
from tests.servers import ray_cluster
from tests.servers.machines import SWITCH, Machine, machine, make_switch, run_on_the_switch, why_not
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import hold, release

EPOCHS, SEEDS = 6, 3
OPTIONS = ("--epochs", str(EPOCHS), "--seeds", str(SEEDS))
# When Ray gives up a node that does not answer; by itself only after a minute.
SOON = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_what_falls_silent_moves_no_number(tmp_path: Path, new_store: Callable[[Path], str]) -> None:
    new_store(tmp_path)
    run_on_the_switch(__file__, tmp_path)


def lose_the_drivers_network(study: StudyFolder, cluster: ray_cluster.RayCluster, desk: Machine) -> None:
    """Cut the driver's network, so that head and MLflow are gone for it."""
    hold(study.folder, epoch=3)
    driver = study.start(*OPTIONS, "--address", cluster.address, at=desk)
    driver.until(lambda: furthest(study) == [2, 2])
    unplugged = time.monotonic()
    desk.unplug()
    wait_for_word_of_the_head(driver, cluster.address)
    print(f"{time.monotonic() - unplugged:.1f} s from the pulled cable to the driver's word")
    assert "Traceback" not in driver.finish(code=1)


def lose_a_machines_power(study: StudyFolder, cluster: ray_cluster.RayCluster, far: Machine) -> None:
    """Cut a machine's power; its trial goes on elsewhere."""
    hold(study.folder, epoch=5)
    driver = study.start(*OPTIONS, "--address", cluster.address)
    driver.until(lambda: furthest(study).count(4) == 2)
    lost = time.monotonic()
    far.lose_power()
    release(study.folder)
    driver.until_said("crashed, attempt 2 goes on from its last epoch")
    print(f"{time.monotonic() - lost:.1f} s from the lost power to the next attempt")
    driver.finish()


def lose_them(folder: Path) -> None:
    """Run on the switch. All machines share the folder."""
    make_switch()
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(ray_cluster.running(SWITCH, **SOON))
        desk = stack.enter_context(machine("desk", 2, [], [cluster.folder]))
        far = stack.enter_context(machine("far", 3, [], [cluster.folder]))
        cluster.add_worker("--num-cpus", "0", "--node-ip-address", desk.address, through=desk.through)
        cluster.add_worker("--node-ip-address", far.address, through=far.through)
        cluster.add_worker()
        cluster.wait_for(4)
        study = toy_folder(
            folder / "disturbed",
            "recorded",
            "disturbed",
            empty_store=folder / "mlflow.db",
            environment=cluster.environment,
        )
        lose_the_drivers_network(study, cluster, desk)
        lose_a_machines_power(study, cluster, far)
    require_everything_once(study, SEEDS, EPOCHS, repeated=1)


if __name__ == "__main__":
    lose_them(Path(sys.argv[1]))
