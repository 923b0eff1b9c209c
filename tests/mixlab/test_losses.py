"""Nodes that are killed, a head that is killed, a node that joins late: everything is recorded once, as if undisturbed.

A study, and at the same time a search, in a network of their own.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mixlab.recorded import furthest, require_everything_once, wait_for_word_of_the_head
from tests.servers import ray_cluster
from tests.servers.program import Program, run_alone
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import hold, release

EPOCHS, SEEDS = 6, 3
OPTIONS = ("--epochs", str(EPOCHS), "--seeds", str(SEEDS))


@pytest.mark.slow
def test_what_is_lost_moves_no_number(tmp_path: Path, new_store: Callable[[Path], str]) -> None:
    new_store(tmp_path)
    run_alone(__file__, tmp_path)


def trains_on(node: Program) -> bool:
    """Return whether a trial runs on a node."""
    return bool(node.children("ray::Implicit"))


def lose_the_head(study: StudyFolder, search: StudyFolder, cluster: ray_cluster.RayCluster) -> None:
    """Check that both drivers say so in time, and end, and that MLflow knows that nothing runs any more."""
    for folder in (study, search):
        hold(folder.folder, epoch=3)
    where = ("--address", cluster.address)
    drivers = [(study, study.start(*OPTIONS, *where)), (search, search.start(*where))]
    drivers[0][1].until(lambda: furthest(study) == [2] * SEEDS)
    drivers[1][1].until(search.journals)
    before = time.monotonic()
    cluster.head.kill()
    for _, driver in drivers:
        wait_for_word_of_the_head(driver, cluster.address)
    print(f"{time.monotonic() - before:.1f} s from the head's death to the last driver's word")
    for folder, driver in drivers:
        assert "Traceback" not in driver.finish(code=1)
        ends = Counter(run.info.status for run in folder.runs())
        assert ends["KILLED"] >= 3, ends  # the study, the arm, and at least one trial
        assert not ends["RUNNING"], ends


def lose_a_node(study: StudyFolder, cluster: ray_cluster.RayCluster) -> None:
    """Check that the study goes on: a joining node takes a waiting trial; the other dies, and its trial moves."""
    first = cluster.add_worker()
    cluster.wait_for(2)
    hold(study.folder, epoch=5)
    driver = study.start(*OPTIONS, "--address", cluster.address)
    driver.until(lambda: 4 in furthest(study))
    assert trains_on(first)
    late = cluster.add_worker()
    driver.until(lambda: trains_on(late))
    assert trains_on(first)
    first.kill()
    release(study.folder)
    driver.until_said("crashed, attempt 2 goes on from its last epoch")
    driver.finish()


def go_on_with_the_search(search: StudyFolder, cluster: ray_cluster.RayCluster) -> None:
    """Check on another cluster that every trial of the budget exists once, and that the winner is confirmed."""
    search.run_here("--address", cluster.address)
    states = Counter(trial.state.name for trials in search.trials().values() for trial in trials)
    assert states == {"COMPLETE": 3}
    runs = search.runs("trial")
    assert len(runs) == len({run.data.tags["mixlab.key"] for run in runs}) == 3
    client = search.client
    for run in runs:
        assert run.info.status == "FINISHED"
        assert [m.step for m in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2, 3, 4]


def lose_all_in_turn(folder: Path) -> None:
    """Run everything in a network of its own."""

    def folders(cluster: ray_cluster.RayCluster) -> tuple[StudyFolder, StudyFolder]:
        given = {"empty_store": folder / "mlflow.db", "environment": cluster.environment}
        search = toy_folder(folder / "search", "short search", "search", **given)
        return toy_folder(folder / "disturbed", "recorded", "disturbed", **given), search

    with ray_cluster.running() as cluster:
        study, search = folders(cluster)
        cluster.add_worker("--num-cpus", str(SEEDS + 1))
        cluster.wait_for(2)
        lose_the_head(study, search, cluster)
    release(search.folder)
    with ray_cluster.running() as cluster:
        study, search = folders(cluster)
        lose_a_node(study, cluster)
        go_on_with_the_search(search, cluster)
    require_everything_once(study, SEEDS, EPOCHS, repeated=1)


if __name__ == "__main__":
    lose_all_in_turn(Path(sys.argv[1]))
