"""The study ``recorded`` of ``tests/toy.py``, whose record must be whole whatever was lost on the way."""

from pathlib import Path

from tests.servers.program import Program
from tests.study_folder import StudyFolder
from tests.toy import epochs_of, notes, score
from tests.waiting import wait_for

EPOCHS = 14
SEEDS = 4  # of which two train at a time
SAY_SECONDS = 60.0  # the most that a driver may take to notice that its cluster is lost


def require_everything_once(toy: StudyFolder, seeds: int = SEEDS, epochs: int = EPOCHS, repeated: int = 0) -> None:
    """Require each run once, and in it each epoch of each metric once, the parameters and the weights.

    No epoch was trained twice, except at most ``repeated`` that were not yet reported.
    """
    client = toy.client
    assert len(toy.runs()) == 2 + seeds  # the study, its arm, the seeds
    assert toy.statuses() == {"FINISHED"}
    runs = toy.runs("seed")
    assert sorted(run.data.tags["mixlab.seed"] for run in runs) == [str(seed) for seed in range(seeds)]
    (config, *_) = [each["config"] for each in notes(toy.folder, "began")]
    every = list(range(1, epochs + 1))
    for run in runs:
        seed = int(run.data.tags["mixlab.seed"])
        expected = {
            "train_loss": [(epoch, 1 / epoch) for epoch in every],
            "test_top1": [(epoch, score(config, seed, epoch)) for epoch in every],
        }
        for name, points in expected.items():
            assert [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)] == points
        assert (run.data.params["epochs"], run.data.params["seed"]) == (str(epochs), str(seed))
        model = Path(client.download_artifacts(run.info.run_id, "model.pt", str(toy.folder)))
        assert model.read_text() == f"weights of seed {seed}"
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
