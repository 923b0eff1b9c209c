"""Machines that fall silent, nodes and a head that are killed, a node that joins late: everything is recorded once, as
if undisturbed.

A machine falls silent as without power or cable: no connection is closed. A study, and at the same time a search.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.mixlab.recorded import furthest, require_everything_once, wait_for_word_of_the_head
from tests.servers import ray_cluster
from tests.servers.machines import SWITCH, Machine, machine, make_switch, run_on_the_switch, why_not
from tests.servers.program import Program
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import hold, release

pytestmark = pytest.mark.slow

EPOCHS, SEEDS = 6, 3
OPTIONS = ("--epochs", str(EPOCHS), "--seeds", str(SEEDS))
# When Ray gives up a node that does not answer; by itself only after a minute.
SOON = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_what_is_lost_moves_no_number(tmp_path, new_store):
    new_store(tmp_path)
    run_on_the_switch(lose_all_in_turn, tmp_path)


def lose_the_drivers_network(study: StudyFolder, cluster: ray_cluster.RayCluster, desk: Machine) -> None:
    """Cut the driver's network, so that the head is gone for it."""
    hold(study.folder, epoch=3)
    driver = study.start(*OPTIONS, "--address", cluster.address, at=desk)
    driver.until(lambda: furthest(study) == [2, 2])
    lose_the_head(desk.unplug, cluster, (study, driver))


def lose_the_head(
    lose: Callable[[], None], cluster: ray_cluster.RayCluster, *started: tuple[StudyFolder, Program]
) -> None:
    """Check that every driver says so in time, and ends, and that MLflow knows that nothing runs any more."""
    lose()
    for _, driver in started:
        wait_for_word_of_the_head(driver, cluster.address)
    for folder, driver in started:
        assert "Traceback" not in driver.finish(code=1)
        ends = Counter(run.info.status for run in folder.runs())
        assert ends["KILLED"] >= 3, ends  # the study, the arm, and at least one trial
        assert not ends["RUNNING"], ends


def lose_two_nodes(
    study: StudyFolder, driver: Program, cluster: ray_cluster.RayCluster, near: Program, far: Machine
) -> Program:
    """Check that the study goes on: a joining node takes a waiting trial; two are lost, and their trials move to it.

    Return the node that has joined.
    """
    driver.until(lambda: furthest(study) == [4, 4])
    late = cluster.add_worker("--num-cpus", str(SEEDS + 1))
    driver.until(lambda: late.children("ray::Implicit"))
    near.kill()
    far.lose_power()
    driver.until_said("crashed, attempt 2 goes on after epoch", times=2)
    return late


def go_on_with_the_search(search: StudyFolder) -> None:
    """Check on this machine alone that every trial of the budget exists once, and that the winner is confirmed."""
    search.run_here()
    states = Counter(trial.state.name for trials in search.trials().values() for trial in trials)
    assert states == {"COMPLETE": 3}
    runs = search.runs("trial")
    assert len(runs) == len({run.data.tags["mixlab.key"] for run in runs}) == 3
    client = search.client
    for run in runs:
        assert run.info.status == "FINISHED"
        assert [m.step for m in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2, 3, 4]


def lose_all_in_turn(folder: Path) -> None:
    """Run on the switch. All machines share the folder."""
    make_switch()
    with ExitStack() as stack:
        cluster = stack.enter_context(ray_cluster.running(SWITCH, **SOON))
        given = {"empty_store": folder / "mlflow.db", "environment": cluster.environment}
        study = toy_folder(folder / "disturbed", "recorded", "disturbed", **given)
        search = toy_folder(folder / "search", "short search", "search", **given)
        desk = stack.enter_context(machine("desk", 2, [], [cluster.folder]))
        far = stack.enter_context(machine("far", 3, [], [cluster.folder]))
        cluster.add_worker("--num-cpus", "0", "--node-ip-address", desk.address, through=desk.through)
        cluster.add_worker("--node-ip-address", far.address, through=far.through)
        near = cluster.add_worker()
        cluster.wait()
        lose_the_drivers_network(study, cluster, desk)

        where = ("--address", cluster.address)
        hold(study.folder, epoch=5)
        of_study = study.start(*OPTIONS, *where)
        late = lose_two_nodes(study, of_study, cluster, near, far)
        hold(search.folder, epoch=3)
        of_search = search.start(*where)
        of_search.until(search.journals)
        lose_the_head(cluster.head.kill, cluster, (study, of_study), (search, of_search))
        late.kill()  # it would wait for its head, and so would the trials on it
    release(study.folder)
    release(search.folder)
    study.run_here(*OPTIONS)
    require_everything_once(study, SEEDS, EPOCHS)
    go_on_with_the_search(search)
