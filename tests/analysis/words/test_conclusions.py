"""The answer of a study in one sentence."""

import pytest

from analysis.statistics.tables import level_tables
from analysis.words.cells import tidy
from analysis.words.conclusions import answer, claims, of_arms, verdict
from mixlab.spec.metric import Metric


def test_the_largest_gain_is_named_with_its_interval(tables_of):
    shift = {"baseline": 0.0, "+ lam": 1.0, "+ l_s": 2.0}
    said = answer(tables_of(lambda arm, seed: 70 + seed + shift[arm] + 0.01 * (seed % 2) * shift[arm], seeds=8))
    held = "paired over 8 seeds and held together to an error rate of 5 %"
    assert said.startswith(f"Of 2 comparisons, {held}, 2 are gains (the largest: mixer = cutmix: + l_s")
    assert "+ l_s over baseline, +2.01 points, 95 % interval +2.00 to +2.02" in said
    assert said.endswith(").")


def test_gains_losses_and_the_undecided_are_counted(tables_of):
    noise = (0.9, -1.1, 0.7, -0.6, 1.2, -0.8, 0.5, -0.9)
    shift = {"baseline": lambda seed: 0.0, "+ lam": lambda seed: -1.0 - 0.01 * seed, "+ l_s": lambda seed: noise[seed]}
    said = answer(tables_of(lambda arm, seed: 70 + shift[arm](seed), seeds=8))
    assert ", 1 is a loss (" in said
    assert "+ lam over baseline, -1.03 points" in said or "+ lam over baseline, -1.04 points" in said
    assert said.endswith(" and 1 is not decided.")


@pytest.mark.parametrize(("seeds", "word"), [(1, "1 seed"), (3, "3 seeds")])
def test_too_few_seeds_claim_nothing(tables_of, seeds, word):
    assert answer(tables_of(lambda arm, _: 70.0 + len(arm), seeds=seeds)) == (
        f"Of 2 comparisons, paired over {word} and held together to an error rate of 5 %, 2 have too few seeds."
    )


def test_one_comparison_and_none(tables_of):
    one = answer(tables_of(lambda arm, seed: 70.0 + seed + len(arm), ("baseline", "+ lam"), 8))
    assert one.startswith("The one comparison, paired over 8 seeds, is a loss (")
    alone = answer(tables_of(lambda _, seed: 70.0 + seed, ("baseline",), 8))
    assert alone == "Nothing was compared: the baseline is the only arm."


LOSS = Metric("val_loss", "nats", 4, higher_is_better=False)


def test_a_gain_has_the_decimals_of_its_metric_and_a_loss_is_not_called_insignificant(make_plan, planned_runs):
    plan = {
        **make_plan(arms=("baseline", "+ lam"), seeds=8, factors={}),
        "metric": "val_loss",
        "metrics": [LOSS.json()],
    }

    def tables(gain):
        values = {(arm, seed): 0.5 + seed / 100 + gain * (arm == "+ lam") for arm in plan["arms"] for seed in range(8)}
        runs = planned_runs(plan, values)
        return level_tables(runs.rename(columns={"metric.test_top1_median10": "metric.val_loss"}), plan)

    (claim,) = claims(tables(-0.0025))
    assert claim == "+ lam: -0.0025 (95 % interval -0.0025 to -0.0025, p (family) 0.0078)"
    small = tables(-0.00002)  # less than the metric's decimals show
    assert claims(small) == ["+ lam: -2e-05 (95 % interval -2e-05 to -2e-05, p (family) 0.0078)"]
    assert of_arms(small)["+ lam"].metrics["gain"] == pytest.approx(-0.00002)
    assert claims(tables(0.0025)) == []
    assert verdict(tables(0.0025)) == "No gain can be claimed: the one comparison is not a win."


def test_arms_that_have_no_seed_with_their_reference_are_told(tables_of):
    def said(*finished):
        return answer(tables_of({(arm, seed): 70.0 + seed for arm in finished for seed in range(8)}, seeds=8))

    assert said("+ lam", "+ l_s") == (
        "Nothing was compared: no arm has a seed in common with what it is compared with."
    )
    assert said("baseline", "+ l_s").endswith(" 1 arm has no seed in common with what it is compared with.")


def test_a_gain_over_another_arm_than_the_baseline_names_it_wherever_it_stands(make_plan, planned_runs):
    plan = make_plan(arms=("baseline", "+ lam", "+ l_s"), seeds=7, factors={}) | {"against": {"+ l_s": "+ lam"}}
    shift = {"baseline": 0.0, "+ lam": 1.0, "+ l_s": 3.0}
    values = {(arm, seed): 70 + seed + size + seed * size / 100 for arm, size in shift.items() for seed in range(7)}
    levels = level_tables(planned_runs(plan, values), plan)
    assert [claim[: claim.index(" (")] for claim in claims(levels)] == [
        "+ lam over baseline: +1.03",
        "+ l_s over + lam: +2.06",
    ]
    assert "; gain +2.06 over + lam, 95 % interval" in of_arms(levels)["+ l_s"].text
    assert tidy(levels)["against"].tolist() == ["", "baseline", "+ lam"]
