"""Histograms of drawn and learned lambda, read from a real MLflow store."""

from dataclasses import replace

from analysis.ablation_table import study_table
from analysis.figures.lambdas import load_histograms, plot_lambda
from tests.analysis.planned import make_plan


def in_bin(place: int) -> list[float]:
    """Return all images in one bin."""
    return [float(bin_ == place) for bin_ in range(10)]


def test_one_seed_of_each_arm_that_learned_lambda(track):
    study, plan = track(), make_plan(arms=("baseline", "+ lam", "+ l_s"), seeds=2)
    study.add_plan(plan)
    for trial in plan["trials"]:
        learns = trial["arm"] != "baseline"
        run_id = study.add_run(trial, 40.0, config={"sumix.lam": "learned" if learns else "fixed"})
        if trial["arm"] == "+ lam":
            learned = [in_bin(5), in_bin(7 + trial["seed"])]
            held = {"epochs": [1, 2], "lam_drawn": [in_bin(5), in_bin(4)], "lam_learned": learned}
            study.client.log_dict(run_id, held, "histograms.json")
        elif not learns:
            study.client.log_dict(run_id, {"epochs": [1], "of something else": [[1.0]]}, "histograms.json")
    levels = study_table(study.uri, study.study, plan).levels
    (found,) = load_histograms(study.uri, levels)  # '+ l_s' has none
    assert (found.arm, found.seed, found.epochs.tolist()) == ("+ lam", 0, [1, 2])
    assert found.drawn.argmax(axis=1).tolist() == [5, 4]
    assert found.learned.argmax(axis=1).tolist() == [5, 7]
    fixed = levels[0].runs[levels[0].runs["arm"] == "baseline"]
    assert load_histograms(study.uri, [replace(levels[0], runs=fixed)]) == []
    figure = plot_lambda(study.study, [found], levels)
    strip, sides = figure.subfigs[0].axes
    assert strip.get_xlim() == (0.5, 2.5)  # two epochs
    learned, drawn = (patch.get_data().values.tolist() for patch in sides.patches)  # percent of all epochs
    assert learned == [50.0 * (bin_ in (5, 7)) for bin_ in range(10)]
    assert drawn == [50.0 * (bin_ in (4, 5)) for bin_ in range(10)]
    said = " ".join(text.get_text() for sub in figure.subfigs for text in sub.texts).replace("\n", " ")
    for part in ("seed 0", "from white for none to the full colour for 100 %"):
        assert part in said
    assert "n = " not in said  # the study has two seeds
