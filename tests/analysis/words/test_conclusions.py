"""The answer of a study in one sentence, and the summaries of it and of its arms in MLflow, by hand."""

import json
import math

import pytest

from analysis.words.cells import tidy
from analysis.words.conclusions import answer, claims, of_arms, of_study, verdict, verdicts
from analysis.words.method import ALONE, method_text
from analysis.words.notes import NOT_YET, notes
from mixlab.spec.metric import Metric
from tests.analysis.planned import ARMS, VALUE, tables_of


@pytest.mark.parametrize(("sign", "what", "ends"), [(1, "gains", "+2.00 to +2.02"), (-1, "losses", "-2.02 to -2.00")])
def test_the_largest_gain_or_loss_is_named_with_its_interval(sign, what, ends):
    shift = {"baseline": 0.0, "+ lam": sign, "+ l_s": 2.0 * sign}
    said = answer(tables_of(lambda arm, seed: 70 + seed + shift[arm] + 0.01 * (seed % 2) * shift[arm], seeds=8))
    held = "paired over 8 seeds and held together to an error rate of 5 %"
    largest = f"mixer = cutmix: + l_s over baseline, {2.01 * sign:+} points, 95 % interval {ends}"
    assert said == f"Of 2 comparisons, {held}, 2 are {what} (the largest: {largest})."


def test_gains_losses_and_the_undecided_are_counted():
    noise = (0.9, -1.1, 0.7, -0.6, 1.2, -0.8, 0.5, -0.9)
    shift = {"baseline": lambda seed: 0.0, "+ lam": lambda seed: -1.0 - 0.02 * seed, "+ l_s": lambda seed: noise[seed]}
    said = answer(tables_of(lambda arm, seed: 70 + shift[arm](seed), seeds=8))
    assert ", 1 is a loss (mixer = cutmix: + lam over baseline, -1.07 points, " in said
    assert said.endswith(" and 1 is not decided.")
    sequential = tables_of(lambda arm, seed: 70 + shift[arm](seed), seeds=8, sequential={"budget": 8})
    assert answer(sequential).endswith(" and 1 was given up.")
    levels = tables_of(
        lambda arm, seed: 70 + shift[arm](seed), seeds=8, metrics=[Metric("test_top1", rules=("median10",)).json()]
    )
    assert answer(levels).endswith(", 1 differs and 1 is not decided.")
    assert "The metric does not declare which direction is better, so nothing is a win." in method_text(*levels)


def test_what_is_said_of_delta_has_an_error_rate_of_its_own():
    def value(arm, seed):
        return 70 + seed + {"baseline": 0.0, "+ lam": 2.0, "+ l_s": 0.1 * (-1) ** seed}[arm]

    said = answer(tables_of(value, seeds=8, delta=1.0))
    assert "5 %, with another 5 % for either bound of delta, 1 is a gain (" in said
    assert said.endswith(" and 1 is equal within 1.")
    assert "5 %, 1 is" in answer(tables_of(value, seeds=8, delta=0.01))


@pytest.mark.parametrize(("seeds", "word"), [(1, "1 seed"), (3, "3 seeds")])
def test_too_few_seeds_claim_nothing(seeds, word):
    assert answer(tables_of(lambda arm, _: 70.0 + len(arm), seeds=seeds)) == (
        f"Of 2 comparisons, paired over {word} and held together to an error rate of 5 %, 2 have too few seeds."
    )
    apart = tables_of(lambda arm, _: 70.0 + len(arm), seeds=seeds, factors={"mixer": ("x", "y")}, family="table")
    assert answer(apart).startswith(f"Of 4 comparisons, paired over {word} and held in each table to an error rate")
    assert verdict(apart) == "No gain can be claimed: none of the 4 comparisons is a win."
    alone = tables_of(lambda arm, _: 70.0 + len(arm), seeds=seeds, family="table")
    assert "held together to" in answer(alone)


def test_a_gain_has_the_decimals_of_its_metric_and_a_loss_is_not_called_insignificant():
    def tables(gain, unit="nats", **parts):
        loss = Metric("val_loss", unit, 4, higher_is_better=False)

        def value(arm, seed):
            return 0.5 + seed / 100 + gain * (arm == "+ lam")

        return tables_of(value, ("baseline", "+ lam"), 8, {}, metric="val_loss", metrics=[loss.json()], **parts)

    (claim,) = claims(tables(-0.0025))
    assert claim == "+ lam: -0.0025 (95 % interval -0.0025 to -0.0025, p (family) 0.0078)"
    assert answer(tables(-0.0025)) == (
        "The one comparison, paired over 8 seeds, is a gain (+ lam over baseline, -0.0025 nats, 95 % interval -0.0025 "
        "to -0.0025)."
    )
    without_unit = tables(-0.0025, unit="")
    assert "+ lam over baseline, -0.0025, 95 %" in answer(without_unit)
    assert "paired by seed, with" in method_text(*without_unit)
    small = tables(-0.00002)  # less than the metric's decimals show
    assert claims(small) == ["+ lam: -2e-05 (95 % interval -2e-05 to -2e-05, p (family) 0.0078)"]
    assert of_arms(small)["+ lam"].metrics["gain"] == pytest.approx(-0.00002)
    assert of_arms(small)["+ lam"].text.endswith("Val loss, nats (lower is better).")
    sequential = tables(-0.0025, sequential={"budget": 9})
    assert f"e (family) {of_arms(sequential)['+ lam'].metrics['e_family']})" in claims(sequential)[0]
    assert "A win is a gain below zero" in method_text(*small)
    assert claims(tables(0.0025)) == []
    assert verdict(tables(0.0025)) == "No gain can be claimed: the one comparison is not a win."


def test_comparisons_without_a_seed_in_common_are_told():
    def said(*finished, arms=ARMS, mixers=("cutmix",)):
        values = {(arm, seed): 70.0 + seed for arm in finished for seed in range(8)}
        return answer(tables_of(values, arms, 8, {"mixer": mixers}))

    assert said("+ lam", "+ l_s") == (
        "Nothing was compared: no arm has a seed in common with what it is compared with."
    )
    one = "One comparison, paired over 8 seeds, is not decided. 1 further comparison has no seed in common. Not every"
    assert said("baseline", "+ l_s").startswith(one)
    two_tables = said("baseline", "+ l_s", arms=(*ARMS, "+ l_u"), mixers=("cutmix", "mixup"))
    assert two_tables.startswith("Of 2 comparisons, ")
    assert " 4 further comparisons have no seed in common. " in two_tables  # of three arms
    assert said("baseline", arms=ARMS[:1]) == ALONE


def test_a_gain_over_another_arm_than_the_baseline_names_it_wherever_it_stands():
    shift = {"baseline": 0.0, "+ lam": 1.0, "+ l_s": 3.0}
    levels = tables_of(
        lambda arm, seed: 70 + seed + shift[arm] * (1 + seed / 100), seeds=7, factors={}, against={"+ l_s": "+ lam"}
    )
    assert [claim[: claim.index(" (")] for claim in claims(levels)] == [
        "+ lam over baseline: +1.03",
        "+ l_s over + lam: +2.06",
    ]
    assert "; gain +2.06 over + lam, 95 % interval" in of_arms(levels)["+ l_s"].text
    assert tidy(levels)["against"].tolist() == ["", "baseline", "+ lam"]


@pytest.fixture(scope="module")
def levels():
    """Return eight seeds in which one arm gains exactly 1 and the other nothing; one run of the latter failed."""

    def fail(runs):
        runs.loc[(runs["arm"] == "same") & (runs["seed"] == 7), ["status", VALUE]] = ["failed", math.nan]
        return runs.assign(**{"config.sumix.lam": runs["arm"].map({"better": "learned"}).fillna("fixed")})

    return tables_of(lambda arm, seed: 70.0 + seed + (arm == "better"), ("baseline", "better", "same"), 8, change=fail)


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


def test_verdicts_are_what_json_can_hold(levels):
    numbers = {"gain": 1.0, "gain_low": 1.0, "gain_high": 1.0, "p": 1 / 128, "p_family": 1 / 128}
    better = {"table": {"mixer": "cutmix"}, "arm": "better", "against": "baseline", "verdict": "win", "pairs": 8}
    assert json.loads(json.dumps(verdicts(levels)))[0] == better | numbers
    (alone,) = verdicts(tables_of(lambda *_: 70.0, ARMS[:2], 1, {}))
    none = {"gain": 0.0, "gain_low": None, "gain_high": None, "p": 1.0, "p_family": 1.0}
    assert alone == {"table": {}, "arm": "+ lam", "against": "baseline", "verdict": "too few seeds", "pairs": 1} | none


@pytest.mark.parametrize("status", ["pending", "running", "interrupted", "failed"])
def test_a_study_that_is_not_done_says_so_wherever_it_claims_a_gain(status):
    def change(runs):
        last = runs["seed"].eq(7) & runs["factor.mixer"].eq("fmix")
        runs.loc[last, ["status", VALUE]] = [status, math.nan]
        return runs

    factors = {"mixer": ("cutmix", "fmix")}
    levels = tables_of(lambda arm, seed: 70.0 + seed + 3 * (arm == "+ lam"), ("baseline", "+ lam"), 8, factors, change)
    waits = status != "failed"  # after which nothing more will come
    assert answer(levels).endswith(f"). {NOT_YET}") == waits
    assert "held together to" in answer(levels)
    assert [NOT_YET in notes(level) for level in levels] == [waits, waits]  # p (family) waits for the other table, too
    assert verdict(levels) == f"Gains claimed{' so far' * waits}, 2 of 2 comparisons:"
    arm = of_arms(levels)["cutmix · + lam"].text
    assert arm.startswith(f"win{' so far' * waits}: 76.50 ± 2.45 over 8 seeds; gain")
    assert arm.endswith("- `mixer = cutmix`")


def test_an_arm_without_a_value_or_a_pair_has_no_row_of_dashes_in_mlflow():
    def change(runs):
        return runs.assign(run_id=runs["run_id"].where(runs["status"] == "done", ""))

    levels = tables_of({("+ lam", seed): 70.0 + seed for seed in range(8)}, seeds=8, change=change)
    assert verdict(levels) == "No gain can be claimed: nothing was compared."
    rule = "Top-1 accuracy, %, median of the last 10 epochs."
    assert {cell: summary.text for cell, summary in of_arms(levels).items()} == {
        "cutmix · baseline": f"no value: n = 0 (8 pending).\n\n{rule}",
        "cutmix · + lam": f"no common seed so far: 73.50 ± 2.45 over 8 seeds.\n\n{rule}\n\n- `mixer = cutmix`",
        "cutmix · + l_s": f"no value: n = 0 (8 pending).\n\n{rule}",
    }
