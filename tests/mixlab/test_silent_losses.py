"""Machines that fall silent, as they do without power or cable: no connection is closed, and yet no number moves."""

import contextlib
import sys
import time
from pathlib import Path

import pytest

from tests.mixlab.held_study import STUDY, Place, draw_images
from tests.servers import ray_cluster
from tests.servers.machines import SWITCH, Machine, machine, make_switch, run_on_the_switch, why_not

# When Ray gives up a node that does not answer; by itself only after a minute.
SOON = {"RAY_health_check_timeout_ms": "2000", "RAY_health_check_failure_threshold": "3"}


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_what_falls_silent_moves_no_number(tmp_path: Path) -> None:
    run_on_the_switch(__file__, tmp_path, timeout=600)


def lose_the_drivers_network(study: Place, cluster: ray_cluster.RayCluster, desk: Machine) -> None:
    """To the driver, head and MLflow are gone."""
    driver = study.start("--address", cluster.address, hold=3, at=desk)
    study.wait(driver, lambda: sorted(max(epochs, default=0) for epochs in study.noted().values()) == [3, 3])
    unplugged = time.monotonic()
    desk.unplug()
    study.wait_for_word_of_the_head(cluster.address)
    print(f"{time.monotonic() - unplugged:.1f} s from the pulled cable to the driver's word")
    assert driver.wait(60) == 1
    assert "Traceback" not in study.said


def lose_a_machines_power(study: Place, cluster: ray_cluster.RayCluster, far: Machine) -> None:
    """Its trial goes on elsewhere."""
    driver = study.start("--address", cluster.address, hold=6)
    study.wait(driver, lambda: [max(epochs, default=0) for epochs in study.noted().values()].count(6) == 2)
    lost = time.monotonic()
    far.lose_power()
    (study.folder / "hold").unlink()
    study.wait(driver, lambda: "crashed, attempt 2 goes on from its last epoch" in study.said)
    print(f"{time.monotonic() - lost:.1f} s from the lost power to the next attempt")
    assert driver.wait(200) == 0, study.said[-4000:]


def lose_them(folder: Path) -> None:
    """On the switch. The folder is shared by all machines."""
    make_switch()
    draw_images(folder / "noise")
    (folder / "study.py").write_text(STUDY)
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(ray_cluster.running(SWITCH, **SOON))
        desk = stack.enter_context(machine("desk", 2, [], [cluster.folder]))
        far = stack.enter_context(machine("far", 3, [], [cluster.folder]))
        cluster.add_worker("--num-cpus", "0", "--node-ip-address", desk.address, through=desk.through)
        cluster.add_worker("--node-ip-address", far.address, through=far.through)
        cluster.add_worker()
        cluster.wait_for(4)
        study = Place(folder / "disturbed", "study.py", cluster.environment)
        lose_the_drivers_network(study, cluster, desk)
        lose_a_machines_power(study, cluster, far)
    undisturbed = Place(folder / "undisturbed", "study.py")
    assert undisturbed.start().wait(200) == 0, undisturbed.said[-4000:]
    study.require_same_as(undisturbed)


if __name__ == "__main__":
    lose_them(Path(sys.argv[1]))
