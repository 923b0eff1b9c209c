"""The summaries of a study and its arms in MLflow agree with values by hand."""

import pytest

from analysis.statistics.tables import level_tables
from analysis.words.conclusions import of_arms, of_study


@pytest.fixture(scope="module")
def levels(make_plan, planned_runs):
    """Return eight seeds in which one arm gains exactly 1 and the other nothing; one run of the latter failed."""
    plan = make_plan(arms=("baseline", "better", "same"), seeds=8)
    values = {(arm, seed): 70.0 + seed + (arm == "better") for arm in plan["arms"] for seed in range(8)}
    runs = planned_runs(plan, values)
    runs.loc[(runs["arm"] == "same") & (runs["seed"] == 7), ["status", "metric.test_top1_median10"]] = [
        "failed",
        float("nan"),
    ]
    runs["config.sumix.lam"] = runs["arm"].map({"baseline": "fixed", "better": "learned", "same": "fixed"})
    return level_tables(runs, plan)


def test_an_arm_has_its_row_of_the_table(levels):
    arms = of_arms(levels)
    assert list(arms) == ["cutmix · baseline", "cutmix · better", "cutmix · same"]
    better = arms["cutmix · better"]
    gain = {"gain": 1.0, "gain_low": 1.0, "gain_high": 1.0, "p_family": 0.0078}
    assert better.metrics == {"test_top1_median10": 74.5, "sd": 2.45, "n": 8.0, **gain}
    row, rule, settings = better.text.split("\n\n")
    assert row.startswith(
        "win: 74.50 ± 2.45 over 8 seeds; gain +1.00, 95 % interval \\[+1.00, +1.00\\], p (family) 0.0078."
    )
    assert rule == "Top-1 accuracy, %, median of the last 10 epochs."
    assert settings == "- `mixer = cutmix`\n- `sumix.lam = learned`"


def test_what_cannot_be_computed_is_left_out(levels):
    arms = of_arms(levels)
    assert arms["cutmix · baseline"].metrics == {"test_top1_median10": 73.5, "sd": 2.45, "n": 8.0}
    assert arms["cutmix · baseline"].text.startswith("baseline: 73.50 ± 2.45 over 8 seeds.\n\n")
    assert "over 7 (1 failed) seeds; gain +0.00" in arms["cutmix · same"].text


def test_a_study_counts_its_claims_and_holds_its_tables(levels):
    study = of_study(levels)
    assert study.metrics == {"wins": 1.0, "comparisons": 2.0, "runs": 23.0}
    first, claim = study.text.splitlines()[:2]
    assert first == "Gains claimed, 1 of 2 comparisons:"
    assert claim.startswith("- mixer = cutmix, better: +1.00")
    assert "| better   |" in study.text
    assert "p (family) &lt; 0.05" in study.text  # MLflow shows the backslash of \<
