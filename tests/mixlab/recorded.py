"""The study ``recorded`` of ``tests/toy.py``, whose record must be whole whatever was lost on the way."""

from functools import partial

from mixlab.tracking import artifacts
from tests.servers.program import Program
from tests.study_folder import StudyFolder
from tests.toy import epochs_of, notes, score
from tests.waiting import wait_for

EPOCHS = 14
SEEDS = 4  # two train at a time
SAY_SECONDS = 60.0  # the most that a driver may take to notice that its cluster is lost


def require_everything_once(toy: StudyFolder, seeds: int = SEEDS, epochs: int = EPOCHS, repeated: int = 0) -> None:
    """Require each run once, and in it each epoch of each metric once, the parameters and the weights.

    No epoch was trained twice, except at most ``repeated`` that were not yet reported.
    """
    client = toy.client
    assert len(toy.runs()) == 2 + seeds  # the study, its arm, the seeds
    assert toy.statuses() == {"FINISHED"}
    runs = {int(run.data.tags["mixlab.seed"]): run for run in toy.runs("seed")}
    assert sorted(runs) == list(range(seeds))
    config = notes(toy.folder, "began")[0]["config"]
    every = list(range(1, epochs + 1))
    for seed, run in runs.items():
        expected = {"train_loss": lambda epoch: 1 / epoch, "test_top1": partial(score, config, seed)}
        for name, value in expected.items():
            points = [(point.step, point.value) for point in client.get_metric_history(run.info.run_id, name)]
            assert points == [(epoch, value(epoch)) for epoch in every]
        assert (run.data.params["epochs"], run.data.params["seed"]) == (str(epochs), str(seed))
        assert artifacts.read(client, run.info.run_id, "model.pt") == f"weights of seed {seed}".encode()
    trained = epochs_of(toy.folder)
    assert {seed: sorted(set(found)) for seed, found in trained.items()} == dict.fromkeys(range(seeds), every)
    assert sum(map(len, trained.values())) <= seeds * epochs + repeated, trained


def furthest(toy: StudyFolder) -> list[int]:
    """Return the last epoch that each seed has saved, in order."""
    return sorted({each["seed"]: each["epoch"] for each in notes(toy.folder, "reported")}.values())


def wait_for_word_of_the_head(driver: Program, address: str) -> None:
    """Return once the driver has said that the head is lost; until now it was there."""
    word = f"the head of the Ray cluster at --address '{address}' has died"
    wait_for(lambda: word in driver.said, account=lambda: driver.said[-4000:], seconds=SAY_SECONDS)
    assert "the same command goes on" in driver.said
