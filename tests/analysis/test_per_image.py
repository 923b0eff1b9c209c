import numpy as np
import pytest

from analysis import per_image


@pytest.fixture
def tracked(track, make_plan, tmp_path, request):
    """Return a study of two arms and two seeds, of 40 images and 4 classes; the arm gets 8 more of them right."""
    arms = getattr(request, "param", ("baseline", "+ lam"))
    study, plan = track(), make_plan(arms=arms, seeds=2)
    study.add_plan(plan)
    labels = np.arange(40) % 4
    for trial in plan["trials"]:
        right = np.arange(40) < (30 if trial["arm"] == arms[1] else 22) + trial["seed"]
        logits = 6 * np.eye(4, dtype=np.float16)[np.where(right, labels, (labels + 1) % 4)]
        run_id = study.add_run(trial, 100 * right.mean())
        file = tmp_path / "predictions.npz"
        np.savez_compressed(file, logits=logits, labels=labels)
        study.client.log_artifact(run_id, str(file))
    return study


def test_the_command(tracked, capsys):
    assert per_image.main([tracked.study, "--tracking-uri", tracked.uri]) == 0
    text = capsys.readouterr().out
    assert "mixer = cutmix" in text
    assert "+ lam against baseline: gain +20.00 points; standard error 0.00 over seeds" in text
    # Of 8 images that differ all are better: p is 2 / 2^8.
    assert ["0", "8", "0", "0.0078"] in [line.split() for line in text.splitlines()]
    assert "Classes whose accuracy differs (p over 4 classes < 0.05): 0." in text
    (row,) = [line for line in text.splitlines() if line.startswith("baseline")]
    assert row.split()[1:3] == ["2", "56.25"]


@pytest.mark.parametrize("tracked", [("0.125", "1e3")], indirect=True)
def test_a_name_that_looks_like_a_number_is_printed_as_it_is(tracked, capsys):
    assert per_image.main([tracked.study, "--tracking-uri", tracked.uri]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert {"0.125", "1e3"} <= {row[0] for row in rows if row[1:2] == ["2"]}


def test_runs_without_logits_are_named(track, make_plan, capsys):
    study, plan = track(), make_plan(arms=("baseline", "+ lam"), seeds=1)
    study.add_all(plan, lambda trial: 70.0)
    assert per_image.main([study.study, "--tracking-uri", study.uri]) == 2
    errors = capsys.readouterr().err
    assert "not counted: 'baseline', seed 0, has no predictions.npz" in errors
    assert "no run of the study 'ablation_tiny' has predictions.npz" in errors
