"""What is said below a table of its tests, of pairing, and of the seeds that they need."""

import itertools
import re

import pytest

from analysis.statistics.power import seeds_needed
from analysis.statistics.tables import level_tables
from analysis.words.cells import cells
from analysis.words.method import (
    correction_text,
    method_text,
    pairing_text,
    power_heading,
    power_table,
    power_text,
    sign_flip_text,
    too_few_seeds,
)
from tests.analysis.planned import VALUE, lose, make_plan, planned_runs, tables_of
from tests.analysis.words.five_arms import ARMS, full, level_of


def test_three_seeds_are_too_few_six_are_enough_and_the_text_says_so():
    assert too_few_seeds(level_of(full())) == (
        "3 seeds cannot reach p < 0.05 (smallest possible p is 0.25): too few seeds to tell; "
        "at least 6 seeds would be needed."
    )
    assert too_few_seeds(level_of(full(5), seeds=5)).startswith("5 seeds cannot reach p < 0.05")
    assert too_few_seeds(level_of(full(6), seeds=6)) is None


def test_the_method_names_the_tests_the_family_and_the_unit():
    text = method_text(level_of(full()))
    for part in (
        "exact sign-flip test of one comparison",
        "p (family): corrected for all 4 comparisons of the study by step-down max-T with joint sign flips (exact)",
        "paired by seed, in percentage points",
        "A win is a gain above zero with p (family) < 0.05.",
    ):
        assert part in text
    for part in ("Control", "Delta", "Earlier tables", "fixed beforehand"):
        assert part not in text
    for arms, comparisons in ((ARMS[:2], "1 comparison"), (ARMS[:3], "both comparisons")):
        assert f"corrected for {comparisons} of the study" in method_text(level_of(full(arms=arms), arms=arms))


def test_a_comparison_that_has_no_seed_yet_counts_where_seeds_are_added():
    for sequential, said in ((None, "1 comparison"), ({"budget": 20}, "both comparisons")):
        (level,) = tables_of(full(arms=ARMS[:2]), ARMS[:3], factors={}, sequential=sequential)
        assert f"corrected for {said} of the study" in method_text(level)


def test_a_table_without_a_comparison_is_not_among_the_families_of_one_table():
    def lost(runs):
        return lose(runs, "+ lam", mixer="mixup")

    factors = {"mixer": ("cutmix", "mixup")}
    levels = tables_of(lambda _, seed: 70.0 + seed, ARMS[:2], 6, factors, lost, family="table")
    assert "corrected for the 1 comparison of a table alone" in method_text(*levels)


def test_a_family_of_one_table_says_what_is_not_controlled():
    for looks, mixers in itertools.product(({}, {"other_family": True}), (("cutmix", "mixup"), ("cutmix",))):
        text = method_text(*tables_of(full(), ARMS, factors={"mixer": mixers}, family="table", looks=looks))
        assert "corrected for the 4 comparisons of a table alone" in text
        assert ("; over the 2 tables of the study the error rate is not controlled" in text) == (len(mixers) > 1)
        assert ("not controlled" in text) == (len(mixers) > 1)
        another = (
            "Earlier tables of the study had another family: p (family) holds only if they did not suggest this one."
        )
        assert (another in text) == (bool(looks) and len(mixers) > 1)  # of one table both families are the same


def test_controls_references_and_delta_are_named():
    plan = {"controls": ["+ lam"], "against": {"+ l_s": "+ lam"}, "delta": 5.0}
    (level,) = tables_of(full(8), ARMS, 8, **plan)
    text = method_text(level)
    assert "Gain: arm minus the arm in the column 'against'" in text
    assert "Over baseline: the gain over 'baseline' with its paired t interval; it is not tested." in text
    gains = level.table["over_baseline"] - level.table["gain"]
    assert gains["+ lam"] == 0
    assert gains["+ l_s"] == pytest.approx(level.table.loc["+ lam", "gain"])
    assert cells(level).loc["baseline", "over baseline"] == "–"
    assert cells(level).loc["+ l_s", "over baseline"].startswith(f"{level.table.loc['+ l_s', 'over_baseline']:+.2f} [")
    assert "Control: '+ lam', which shows what other arms change" in text
    assert "Delta" not in text  # no verdict speaks of it: every arm wins
    for looks in ({}, {"other_delta": True}):
        values = {(arm, s): 70.0 + s + 0.1 * (s % 2) * (arm == "+ lam") for arm in ARMS for s in range(8)}
        (level,) = tables_of(values, ARMS, 8, **plan, looks=looks)
        assert set(level.table["verdict"]) == {"", "equal within delta"}
        text = method_text(level)
        assert "Delta is 5, from the study's file; a verdict about it is by its own one-sided p (family)." in text
        assert ("Earlier tables of the study had another delta or none" in text) == bool(looks)


def test_sequential_seeds_say_so_and_show_no_p():
    (level,) = tables_of(full(9), ARMS, 9, sequential={"budget": 20}, controls=["+ lam", "+ l_u"])
    text = method_text(level)
    assert "each arm by itself; it takes the seeds for a number fixed beforehand). Seeds were added until a" in text
    assert "a comparison was decided, at most 20, so no p holds" in text
    assert "sign-flip test" not in text
    assert level.table[["p", "p_family"]].isna().all(axis=None)
    plan = r"^Seeds for 80 % power over 4 comparisons, their number fixed beforehand, if the gains so far are real"
    assert re.match(plan, power_text(level))  # such a plan is not the one that the study follows
    assert "Controls: '+ lam', '+ l_u', which show what other arms change" in text
    (level,) = tables_of(lambda _, seed: 70.0 + seed, ARMS[:2], 20, sequential={"budget": 20}, delta=5.0)
    assert "Delta is 5, from the study's file; a verdict about it is by its own one-sided e (family)." in method_text(
        level
    )


def test_confirmations_after_which_a_search_went_on_are_told():
    def said(*confirmed, budget=None):
        winners, seeds = {"a": [9, "p"], "b": [9, "q"]}, [0, 1, 2]
        looks = {"confirmed": [{"winners": points, "seeds": each or seeds} for points, each in confirmed]}
        parts = {"looks": looks, "winners": winners, "sequential": budget and {"budget": budget}}
        return method_text(*tables_of(full(6), ARMS, 6, **parts)).partition("The search went on after ")[2]

    same, other, alone = ({"a": [n, "p"], "b": [n, point]} for n, point in ((4, "q"), (6, "r"), (7, "q")))
    del alone["b"]
    assert said() == ""
    assert said((same, [])) == (
        "1 confirmation had results (the best of 8 trials): the winners have stayed the same, so nothing else has been "
        "tested."
    )
    assert "(the best of 7 and 8 trials): the winners have stayed the same" in said((same, []), (alone, []))
    twice = said((other, []), (same, []), ({"a": [5, "p"], "b": [5, "r"]}, []), budget=20)
    assert twice.startswith(
        "3 confirmations had results (the best of 8, 10 and 12 trials), so this is not the first test: 2 sets of "
        "winners have been confirmed, with seeds in common. e (family) is not corrected for that: a claim by chance "
        "is up to 2 times as likely."
    )
    assert "2 sets of winners have been confirmed. p (family) is not" in said((other, [6, 7]))


def test_the_worth_of_pairing():
    values = {("baseline", s): float(s) for s in range(4)} | {("+ lam", s): s + 0.1 * (-1) ** s for s in range(4)}
    text = pairing_text(level_of(values, seeds=4, arms=ARMS[:2]))
    # The differences 0.1, -0.1, 0.1, -0.1 have the sd 0.115; 0, 1, 2, 3 have 1.29, and 0.1, 0.9, 2.1, 2.9 have 1.24.
    assert "the sd of a difference is 0.115 (median), that of unpaired runs would be 1.79" in text
    assert text.endswith(", so they would need 240 times as many seeds.")
    # The ratios of three arms, 0.67, 0.97 and 1.41, have a median below 1; those of the medians that are shown do not.
    rows = {"baseline": (0, 1, 2), "+ lam": (-0.09, -1.07, 1.16), "+ l_s": (1.38, -3.36, 1.98), "+ l_u": (2, 1, 0)}
    several = {(arm, seed): float(row[seed]) for arm, row in rows.items() for seed in range(3)}
    said = pairing_text(level_of(several, arms=tuple(rows)))
    assert "the sd of a difference is 2 (median)," in said
    assert said.endswith(" that of unpaired runs would be 1.5, so they would need 0.56 times as many seeds.")
    assert pairing_text(level_of(full(2), seeds=2)) is None
    alike = {(arm, s): 66.33 + s / 100 + 0.01 * (arm == "+ lam") for arm in ARMS[:2] for s in range(4)}
    text = pairing_text(level_of(alike, seeds=4, arms=ARMS[:2]))  # the differences are 0.01 but for rounding
    assert text.endswith("the sd of a difference is 0 (median), that of unpaired runs would be 0.0183.")


def test_one_seed_has_no_spread():
    text = method_text(level_of(full(1), seeds=1))
    assert text.startswith("One seed, so no spread. Gain: arm minus 'baseline' with the same seed")
    assert "one pair has neither an interval nor a p that could tell." in text
    assert "sd" not in text
    two = method_text(level_of(full(2), seeds=2))
    assert two.startswith("Mean ± sd over seeds. Gain: arm minus 'baseline', paired")


def test_a_table_of_another_metric_or_rule_names_the_studys_own():
    def text(metric, **parts):
        plan = make_plan(arms=ARMS, seeds=8, **parts)
        runs = planned_runs(plan, full(8))
        return method_text(*level_tables(runs.assign(**{"metric.test_top1_best": runs[VALUE]}), plan, metric))

    said = "The study's own metric is test_top1_median10; p (family) is not corrected for a choice of metric."
    assert [said in text(metric) for metric in (None, "test_top1_median10", "test_top1_best")] == [False, False, True]
    assert "; e (family) is not corrected for a choice" in text("test_top1_best", sequential={"budget": 20})


def test_every_column_of_one_seed_is_explained():
    columns = {"controls": ["+ l_s"], "against": {"+ l_su": "+ lam"}}
    (level,) = tables_of(full(1), ARMS, 1, sequential={"budget": 20}, **columns)
    text = method_text(level)
    assert text.startswith("One seed, so no spread. Gain: arm minus the arm in the column 'against' with the same seed")
    assert "one pair has no interval. Seeds were added until a comparison was decided, at most 20" in text
    assert "e: the largest evidence that there has been" in text
    assert "Over baseline: the gain over 'baseline'; it is not tested." in text
    assert text.endswith("Control: '+ l_s', which shows what other arms change besides what they are named for.")


def test_where_nothing_could_be_compared_no_test_is_described():
    without_baseline = {cell: value for cell, value in full().items() if cell[0] != "baseline"}
    level = level_of(without_baseline)
    assert method_text(level) == "Mean ± sd over seeds."
    assert method_text(level_of({("+ lam", 0): 70.0}, 1)) == "One seed, so no spread."
    sequential = tables_of(without_baseline, ARMS, sequential={"budget": 20}, controls=["+ lam"])
    assert method_text(*sequential) == "Mean ± sd over seeds."
    assert too_few_seeds(level) == (
        "No arm has a seed in common with what it is compared with: no gain can be computed."
    )


def test_an_approximate_p_is_not_called_exact():
    text = method_text(level_of(full(21), seeds=21))
    assert "exact" not in text
    assert "10,000 sign patterns" in text
    assert "joint sign flips (exact)" in method_text(level_of(full(8), seeds=21))  # which has begun
    assert ["exact" in sign_flip_text(pairs) for pairs in (14, 15)] == [True, False]
    assert ["exact" in correction_text(seeds) for seeds in (14, 15)] == [True, False]


def test_power_plan_of_every_arm():
    level = level_of(full())
    plan = power_table(level)
    assert list(plan.index) == list(ARMS[1:])
    assert list(plan["pairs"]) == [3] * 4
    assert plan.loc["+ lam", "gain"] == pytest.approx(1.1)
    assert plan.loc["+ lam", "sd"] == pytest.approx(0.1)
    assert plan.loc["+ lam", "answer"] == "6"
    assert re.search(r"80 % power over 4 comparisons.*\+ lam: 6, \+ l_s: 6", power_text(level))
    alike = level_of({(arm, seed): 70.0 + (-1) ** seed * (arm == "+ lam") for arm in ARMS[:2] for seed in range(2)})
    assert power_table(alike).loc["+ lam", "answer"] == "over 100,000"


@pytest.mark.parametrize(
    ("family", "said"), [("table", "3 to 4 comparisons of a table if"), ("study", "7 comparisons if")]
)
def test_the_power_is_that_of_the_family_by_which_the_table_decides(family, said):
    plan = make_plan(arms=ARMS, seeds=6, factors={"mixer": ("cutmix", "mixup")}, family=family)
    plan["trials"] = [
        each for each in plan["trials"] if each["levels"] != {"mixer": "mixup"} or each["arm"] != ARMS[-1]
    ]
    levels = level_tables(planned_runs(plan, full(6)), plan)
    assert f"80 % power over {said} the gains so far are real" in power_heading(*levels)
    for level in levels:
        planned = {"table": len(level.table) - 1, "study": 7}[family]
        for arm, differences in level.differences.items():
            assert power_table(level).loc[arm, "answer"] == str(seeds_needed(differences, planned))


def test_of_many_arms_the_power_plan_names_those_that_need_the_fewest_seeds():
    """With 200 arms the sentence under a table would have 200 numbers."""
    arms = ("baseline", *(f"a{gain}" for gain in range(1, 201)))
    sway = (-1, 0, 1)  # added to every difference, by seed
    values = {
        (arm, seed): 70 + gain / 100 + (10 if gain == 200 else gain > 0) * sway[seed]  # the last is the most uncertain
        for gain, arm in enumerate(arms)
        for seed in range(3)
    }
    (level,) = tables_of(values, arms, 3)
    seeds = power_table(level)["answer"]
    named = ", ".join(f"{arm}: {seeds[arm]}" for arm in (f"a{gain}" for gain in range(199, 189, -1)))
    assert power_text(level).endswith(f": {named} (of 200 arms, the 10 that need the fewest).")
    assert int(seeds["a199"]) < int(seeds["a100"])
