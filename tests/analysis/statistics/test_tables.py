"""One table by hand: its pairs, its gains, and what is missing."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.records.published import PublishedNumber
from analysis.statistics.pairs import aligned, logged_metrics
from analysis.statistics.tables import ablation_table, level_tables
from analysis.words.notes import UNSTATED, published_rules
from mixlab.spec.metric import Metric
from tests.analysis.planned import VALUE, make_plan, planned_runs, tables_of


def runs_of(values):
    """Return rows from {arm: values by seed 0, 1, ...}."""
    return pd.DataFrame(
        [{"arm": arm, "seed": seed, "top1": value} for arm, row in values.items() for seed, value in enumerate(row)]
    )


def test_table_by_hand():
    table = ablation_table(runs_of({"plain": [70, 72, 74], "+ a": [71, 74, 77], "+ b": [69, 72, 75]}), "top1", "plain")

    assert list(table.index) == ["plain", "+ a", "+ b"]
    assert table.index.name == "arm"
    assert list(table.columns) == ["n", "mean", "sd", "gain", "gain_low", "gain_high", "p", "p_family", "win"]
    assert list(table["n"]) == [3, 3, 3]
    assert list(table["mean"]) == [72, 74, 72]
    assert list(table["sd"]) == [2, 3, 3]
    # Differences of a: 1, 2, 3; of b: -1, 0, 1. Half width: 4.302653 x 1 / sqrt(3) for both.
    assert list(table.loc[["+ a", "+ b"], "gain"]) == [2, 0]
    assert table.loc["+ a", ["gain_low", "gain_high"]].tolist() == pytest.approx([-0.484138, 4.484138], abs=1e-6)
    assert list(table.loc[["+ a", "+ b"], "p"]) == [0.25, 1.0]
    # 8 patterns: t of a is 2 sqrt(3) in 2, and b reaches that in none (its sums are 0 and 2, of 1, 0, 1: t 0 or 2).
    assert list(table.loc[["+ a", "+ b"], "p_family"]) == [0.25, 1.0]
    assert not table["win"].any()
    assert table.loc["plain", ["gain", "gain_low", "gain_high", "p", "p_family"]].isna().all()


def test_rows_may_come_in_any_order():
    runs = runs_of({"plain": [70, 72, 74, 71], "+ a": [71, 74, 77, 70]})
    shuffled = runs.sample(frac=1, random_state=3)
    expected, got = ablation_table(runs, "top1", "plain"), ablation_table(shuffled, "top1", "plain")
    pd.testing.assert_frame_equal(expected, got.loc[expected.index])
    assert list(got.index) == list(dict.fromkeys(shuffled["arm"]))


def test_only_common_seeds_are_paired_and_failed_runs_are_not_counted():
    runs = runs_of({"plain": [70, 72, math.nan, 73], "+ a": [71, math.nan, 77, 75]})
    table = ablation_table(runs, "top1", "plain")
    assert list(table["n"]) == [3, 3]
    assert table.loc["+ a", "gain"] == pytest.approx((1 + 2) / 2)  # seeds 0 and 3
    assert table.loc["+ a", "mean"] == pytest.approx((71 + 77 + 75) / 3)
    assert table.loc["+ a", "p"] == 0.5


def test_an_arm_without_any_value_stays_a_row_and_is_not_a_comparison():
    runs = runs_of({"plain": [70, 72, 74], "+ a": [71, 74, 77], "+ b": [math.nan] * 3})
    table = ablation_table(runs, "top1", "plain")
    assert table.loc["+ b", "n"] == 0
    assert table.loc["+ b"].drop(["n", "win"]).isna().all()
    assert table.loc["+ a", "p_family"] == table.loc["+ a", "p"]


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e200])  # the square of the last is infinite
def test_a_value_that_is_not_finite_counts_as_none(value):
    found = ablation_table(runs_of({"plain": [70, 72, 74], "+ a": [value, 74, 77]}), "top1", "plain")
    left = ablation_table(runs_of({"plain": [math.nan, 72, 74], "+ a": [math.nan, 74, 77]}), "top1", "plain")
    pd.testing.assert_series_equal(found.loc["+ a"], left.loc["+ a"])
    assert found.loc["+ a", "n"] == 2


def test_one_seed_has_a_gain_but_no_spread():
    row = ablation_table(runs_of({"plain": [70], "+ a": [71]}), "top1", "plain").loc["+ a"]
    assert (row["gain"], row["p"]) == (1, 1)
    assert row[["sd", "gain_low", "gain_high"]].isna().all()


def test_the_caller_s_rows_are_left_alone():
    runs = runs_of({"plain": [70, 72], "+ a": [71, math.nan]})
    before = runs.copy()
    ablation_table(runs, "top1", "plain")
    pd.testing.assert_frame_equal(runs, before)


def test_errors_name_what_there_is():
    runs = runs_of({"plain": [70], "+ a": [71]})
    with pytest.raises(ValueError, match=r"baseline 'base' is not an arm; the arms are: plain, \+ a"):
        ablation_table(runs, "top1", "base")
    with pytest.raises(ValueError, match="no column 'top5'; did you mean 'top1'"):
        ablation_table(runs, "top5", "plain")
    with pytest.raises(ValueError, match="no column 'arm'; did you mean 'arms'"):
        ablation_table(runs.rename(columns={"arm": "arms"}), "top1", "plain")
    with pytest.raises(ValueError, match=r"arm '\+ a' has seed 0 twice"):
        ablation_table(pd.concat([runs, runs.tail(1)]), "top1", "plain")
    with pytest.raises(ValueError, match="not an arm"):
        ablation_table(runs.head(0), "top1", "plain")


@pytest.mark.parametrize(
    ("gain", "declared", "verdict"),
    [(1, True, "win"), (1, False, "worse"), (-1, True, "worse"), (-1, False, "win"), (1, None, "differs")],
)
def test_the_direction_is_the_declared_one_and_without_one_nothing_wins(gain, declared, verdict):
    """The name of a metric such as wer or perplexity gives no direction."""
    plan = make_plan(arms=("plain", "+ a"), seeds=8, factors={})
    runs = planned_runs(plan, lambda arm, seed: 70.0 + seed + gain * (arm == "+ a"))
    metric = Metric("perplexity", higher_is_better=declared)
    (level,) = level_tables(runs.rename(columns={VALUE: "metric.perplexity"}), plan, metric)
    assert level.table.loc["+ a", "verdict"] == verdict
    # Of 64 pairs of runs 36 are above, and 7 tie, where each seed brings 1 as the arm does.
    beats = {"win": 39.5 / 64, "worse": 24.5 / 64, "differs": math.nan}[verdict]
    assert level.table["p_beats"].tolist() == pytest.approx([math.nan, beats], nan_ok=True)
    small = level.runs.assign(**{"metric.perplexity": level.runs["metric.perplexity"] / 2})  # gains below 1
    alone = ablation_table(small, level.metric, "plain", higher_is_better=declared)
    assert level.table.loc["+ a", "win"] == alone.loc["+ a", "win"] == (verdict == "win")


@pytest.mark.parametrize("name", ["seed", "epochs", "arm", "status", "mean", "key"])
def test_a_factor_may_have_the_name_of_any_column(name):
    plan = make_plan(arms=("plain", "+ a"), factors={name: (1, 2)})
    runs = planned_runs(plan, lambda _, seed: 70.0 + seed)
    assert [level.name for level in level_tables(runs, plan)] == [f"{name} = 1", f"{name} = 2"]
    assert logged_metrics(runs) == ["test_top1_median10"]


def test_every_verdict_of_a_fixed_number_of_seeds():
    arms = ("plain", "better", "worse", "same", "few", "none", "apart")
    wobble = [0.01, -0.01, 0.02, -0.02, 0.03, -0.03, 0.01, -0.01, 0.02]
    shift = {"plain": 0.0, "better": 1.0, "worse": -1.0, "few": 1.0}
    values = {(arm, s): 70 + s + shift[arm] for arm in shift for s in range(9) if arm != "few" or s < 3}
    values |= {("same", s): 70 + s + wobble[s] for s in range(9)} | {("apart", 9): 70}
    (level,) = tables_of(values, arms, 10, {})
    expected = ["", "win", "worse", "not decided", "too few seeds", "–", "no common seed"]
    assert level.table["verdict"].tolist() == expected
    assert not level.evidence  # only sequential seeds have evidence


def test_a_gain_may_be_over_an_arm_of_its_own():
    runs = runs_of({"plain": [70, 72, 74], "+ a": [71, 74, 77], "+ b": [75, 75, 75]})
    table = ablation_table(runs, "top1", "plain", {"+ b": "+ a"})
    assert table.loc["+ a", "gain"] == 2
    assert table.loc["+ b", "gain"] == pytest.approx((4 + 1 - 2) / 3)
    with pytest.raises(ValueError, match="the reference '\\+ z' is not an arm"):
        ablation_table(runs, "top1", "plain", {"+ b": "+ z"})


def test_seeds_are_aligned_by_their_number():
    first, second = pd.Series([1.0, 2.0], index=[8, 3]), pd.Series([5.0, 6.0], index=[3, 1])
    np.testing.assert_array_equal(aligned([first, second]), [[math.nan, 2, 1], [6, 5, math.nan]])


def test_published_values_are_compared_with_the_interval_of_our_mean():
    plan = make_plan(arms=("plain", "+ a", "+ b"))
    values = {("plain", s): 70.0 + s for s in range(3)} | {("+ a", s): 72.0 + s for s in range(3)}
    printed = {("cutmix", "plain"): 73.4, ("cutmix", "+ a"): 76.0, ("saliencymix", "+ a"): 73.0}
    published = {cell: PublishedNumber(value, "best10", "a paper") for cell, value in printed.items()}
    (level,) = level_tables(planned_runs(plan, values), plan, published=published)
    table = level.table
    assert table.loc["plain", "mean_high"] == pytest.approx(71 + 2.484138, abs=1e-6)
    assert table.loc["+ a", "difference"] == pytest.approx(73 - 76)
    assert bool(table.loc["plain", "inside"]) is True
    assert bool(table.loc["+ a", "inside"]) is False
    assert pd.isna(table.loc["+ b", "inside"])
    assert pd.isna(table.loc["+ b", "published"])
    (rule,) = published_rules(level)
    assert rule.startswith("The paper's numbers are the best of the last 10 epochs, chosen on the test set")
    for stated, said in (("median10", []), ("", [f"The paper's numbers are {UNSTATED}; ours are not."])):
        published = {cell: PublishedNumber(value, stated, "a paper") for cell, value in printed.items()}
        assert published_rules(*level_tables(planned_runs(plan, values), plan, published=published)) == said


def test_logged_metrics_are_those_with_a_number():
    plan = make_plan(factors={"mixer.alpha": (0.2, 1.0)})
    runs = planned_runs(plan, {("baseline", 0): 70.0}).assign(**{"metric.never": math.nan, "metric.test_ece": 0.1})
    assert logged_metrics(runs) == ["test_top1_median10", "test_ece"]
    assert logged_metrics(runs_of({"plain": [70]}).assign(epochs=3, dirty=False)) == ["top1"]


def test_no_finished_run_and_unknown_metric():
    plan = make_plan()
    with pytest.raises(ValueError, match="study 'ablation_tiny' has no run that is done: 9 pending"):
        level_tables(planned_runs(plan, {}), plan)
    runs = planned_runs(plan, {("baseline", 0): 70.0})
    with pytest.raises(ValueError, match="metric '9'; there is 'test_top1_median10'"):
        level_tables(runs, plan, "9")
