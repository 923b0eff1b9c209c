"""The study ``recorded`` of ``tests/toy.py``, whose record must be whole whatever was lost on the way."""

from pathlib import Path

from tests.study_folder import StudyFolder
from tests.toy import epochs_of, notes, score

EPOCHS = 14
SEEDS = 4  # of which two train at a time


def require_everything_once(toy: StudyFolder) -> None:
    """Require each run once, and in it each epoch of each metric once, the parameters and the weights."""
    client = toy.client
    assert len(toy.runs()) == 2 + SEEDS  # the study, its arm, the seeds
    assert toy.statuses() == {"FINISHED"}
    runs = toy.runs("seed")
    assert sorted(run.data.tags["mixlab.seed"] for run in runs) == [str(seed) for seed in range(SEEDS)]
    (config, *_) = [each["config"] for each in notes(toy.folder, "began")]
    for run in runs:
        seed = int(run.data.tags["mixlab.seed"])
        expected = {
            "train_loss": [(epoch, 1 / epoch) for epoch in range(1, EPOCHS + 1)],
            "test_top1": [(epoch, score(config, seed, epoch)) for epoch in range(1, EPOCHS + 1)],
        }
        for name, points in expected.items():
            assert [(p.step, p.value) for p in client.get_metric_history(run.info.run_id, name)] == points
        assert (run.data.params["epochs"], run.data.params["seed"]) == (str(EPOCHS), str(seed))
        model = Path(client.download_artifacts(run.info.run_id, "model.pt", str(toy.folder)))
        assert model.read_text() == f"weights of seed {seed}"
    assert epochs_of(toy.folder) == {seed: list(range(1, EPOCHS + 1)) for seed in range(SEEDS)}
