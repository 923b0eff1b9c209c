"""Nodes that are killed, a head that is killed, a node that joins late: the numbers are those of an undisturbed study.

A real training, and at the same time a search, in a network of their own.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from tests.mixlab.held import (
    EPOCHS,
    SEEDS,
    draw_images,
    furthest,
    held_folder,
    options,
    require_undisturbed,
    wait_for_word_of_the_head,
)
from tests.servers import ray_cluster
from tests.servers.program import Program, run_alone
from tests.study_folder import StudyFolder, toy_folder
from tests.toy import epochs_of, hold, release


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
    drivers = [(study, study.start(*options(study), *where)), (search, search.start(*where))]
    drivers[0][1].until(lambda: furthest(study) == [3] * SEEDS)
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
    hold(study.folder, epoch=6)
    driver = study.start(*options(study), "--address", cluster.address)
    driver.until(lambda: 6 in furthest(study))
    assert trains_on(first)
    late = cluster.add_worker()
    driver.until(lambda: trains_on(late))
    assert trains_on(first)
    first.kill()
    release(study.folder)
    driver.until_said("crashed, attempt 2 goes on from its last epoch")
    driver.finish()
    for epochs in epochs_of(study.folder).values():
        assert set(epochs) == set(range(1, EPOCHS + 1))
        # After a loss, only the epochs that were not reported yet are repeated.
        assert all(after - before in (1, 0, -1) for before, after in pairwise(epochs)), epochs


def go_on_with_the_search(search: StudyFolder, cluster: ray_cluster.RayCluster) -> None:
    """Check on another cluster that every trial of the budget exists once, and that the winner is confirmed."""
    search.run("--address", cluster.address)
    states = Counter(trial.state.name for trials in search.trials().values() for trial in trials)
    assert states == {"COMPLETE": 6}
    runs = search.runs("trial")
    assert len(runs) == len({run.data.tags["mixlab.key"] for run in runs}) == 6
    client = search.client
    for run in runs:
        assert run.info.status == "FINISHED"
        assert [m.step for m in client.get_metric_history(run.info.run_id, "train_loss")] == [1, 2, 3, 4, 5, 6]


def lose_all_in_turn(folder: Path) -> None:
    """Run everything in a network of its own."""
    draw_images(folder)

    def folders(cluster: ray_cluster.RayCluster) -> tuple[StudyFolder, StudyFolder]:
        given = {"empty_store": folder / "mlflow.db", "environment": cluster.environment}
        search = toy_folder(folder / "search", "short search", "search", **given)
        return held_folder(folder / "disturbed", cluster.environment), search

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
    require_undisturbed(study)


if __name__ == "__main__":
    lose_all_in_turn(Path(sys.argv[1]))
