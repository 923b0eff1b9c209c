"""The table of a study by hand: pairs, families, verdicts, and what is missing."""

import math

import numpy as np
import pandas as pd
import pytest

from analysis.records.published import PublishedNumber
from analysis.statistics.pairs import aligned, logged_metrics
from analysis.statistics.sequential import e_value
from analysis.statistics.significance import family_p
from analysis.statistics.tables import Family, ablation_table, level_tables
from analysis.words.captions import published_rules
from mixlab.spec.metric import Metric

VALUE = "metric.test_top1_median10"
COLUMNS = ["n", "mean", "sd", "gain", "gain_low", "gain_high", "p", "p_family", "win"]


def runs_of(values):
    """Return rows from {arm: values by seed 0, 1, ...}."""
    return pd.DataFrame(
        [{"arm": arm, "seed": seed, "top1": value} for arm, row in values.items() for seed, value in enumerate(row)]
    )


def test_table_by_hand():
    table = ablation_table(runs_of({"plain": [70, 72, 74], "+ a": [71, 74, 77], "+ b": [69, 72, 75]}), "top1", "plain")

    assert list(table.index) == ["plain", "+ a", "+ b"]
    assert table.index.name == "arm"
    assert list(table.columns) == COLUMNS
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


def test_pairing_removes_what_the_seeds_share():
    luck = np.array([0, 5, -4, 3, -2, 6, 1, -7])
    arms = {"plain": 70 + luck, "+ a": 70.5 + luck + np.array([0.1, -0.1] * 4)}
    table = ablation_table(runs_of(arms), "top1", "plain")
    assert table.loc["+ a", "gain"] == pytest.approx(0.5)
    assert table.loc["+ a", "p"] == 2 / 2**8
    assert table.loc["+ a", "win"]
    assert table.loc["+ a", "sd"] > 4  # unpaired, half a point would drown


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


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_a_value_that_is_not_finite_counts_as_none(value):
    found = ablation_table(runs_of({"plain": [70, 72, 74], "+ a": [value, 74, 77]}), "top1", "plain")
    left = ablation_table(runs_of({"plain": [math.nan, 72, 74], "+ a": [math.nan, 74, 77]}), "top1", "plain")
    pd.testing.assert_series_equal(found.loc["+ a"], left.loc["+ a"])
    assert found.loc["+ a", "n"] == 2


def test_one_seed_has_a_gain_but_no_spread():
    table = ablation_table(runs_of({"plain": [70], "+ a": [71]}), "top1", "plain")
    assert table.loc["+ a", "gain"] == 1
    assert table.loc["+ a", ["sd", "gain_low", "gain_high"]].isna().all()
    assert table.loc["+ a", "p"] == 1.0


@pytest.mark.parametrize(("gain", "higher", "win"), [(0.5, 1, 1), (0.5, 0, 0), (-0.5, 1, 0), (-0.5, 0, 1)])
def test_an_arm_wins_in_the_good_direction_only(gain, higher, win):
    runs = runs_of({"plain": [70 + s for s in range(8)], "+ a": [70 + gain + s for s in range(8)]})
    assert ablation_table(runs, "top1", "plain", higher_is_better=bool(higher)).loc["+ a", "win"] == win


def test_the_caller_s_rows_are_left_alone():
    runs = runs_of({"plain": [70, 72], "+ a": [71, math.nan]})
    before = runs.copy()
    ablation_table(runs, "top1", "plain")
    pd.testing.assert_frame_equal(runs, before)


def test_errors_name_what_there_is():
    runs = runs_of({"plain": [70], "+ a": [71]})
    with pytest.raises(ValueError, match=r"baseline 'base' is not an arm; the arms are: plain, \+ a"):
        ablation_table(runs, "top1", "base")
    with pytest.raises(ValueError, match="no column 'top5'; available: top1"):
        ablation_table(runs, "top5", "plain")
    with pytest.raises(ValueError, match="no column 'seed'"):
        ablation_table(runs.drop(columns="seed"), "top1", "plain")
    with pytest.raises(ValueError, match=r"arm '\+ a' has seed 0 twice"):
        ablation_table(pd.concat([runs, runs.tail(1)]), "top1", "plain")
    with pytest.raises(ValueError, match="not an arm"):
        ablation_table(runs.head(0), "top1", "plain")


@pytest.mark.parametrize(("declared", "verdict"), [(True, "win"), (False, "worse"), (None, "differs")])
def test_the_direction_is_the_declared_one_and_without_one_nothing_wins(make_plan, planned_runs, declared, verdict):
    """The name of a metric such as wer or perplexity gives no direction."""
    plan = make_plan(arms=("plain", "+ a"), seeds=8, factors={})
    values = {(arm, s): 70.0 + s + (arm == "+ a") for arm in ("plain", "+ a") for s in range(8)}
    metric = Metric("perplexity", higher_is_better=declared)
    runs = planned_runs(plan, values).rename(columns={"metric.test_top1_median10": "metric.perplexity"})
    (level,) = level_tables(runs, plan, metric)
    assert level.table.loc["+ a", "verdict"] == verdict
    assert level.table.loc["+ a", "win"] == (verdict == "win")


@pytest.mark.parametrize("name", ["seed", "epochs", "arm", "status", "mean", "key"])
def test_a_factor_may_have_the_name_of_any_column(make_plan, planned_runs, name):
    plan = make_plan(arms=("plain", "+ a"), factors={name: (1, 2)})
    runs = planned_runs(plan, {(arm, seed): 70.0 + seed for arm in ("plain", "+ a") for seed in range(3)})
    assert [level.name for level in level_tables(runs, plan)] == [f"{name} = 1", f"{name} = 2"]
    assert logged_metrics(runs) == ["test_top1_median10"]


def test_one_table_per_level_in_the_order_of_the_plan(make_plan, planned_runs):
    plan = make_plan(arms=("plain", "+ a"), factors={"mixer": ("puzzlemix", "cutmix"), "backbone": ("r20", "r8")})
    runs = planned_runs(plan, {(arm, seed): 70.0 + seed for arm in ("plain", "+ a") for seed in range(3)})
    here = (runs["factor.mixer"] == "cutmix") & (runs["factor.backbone"] == "r8") & (runs["arm"] == "+ a")
    runs.loc[here, "metric.test_top1_median10"] += 2
    tables = level_tables(runs.sample(frac=1, random_state=0), plan)
    assert [table.name for table in tables] == [
        "mixer = puzzlemix, backbone = r20",
        "mixer = puzzlemix, backbone = r8",
        "mixer = cutmix, backbone = r20",
        "mixer = cutmix, backbone = r8",
    ]
    assert [table.table.loc["+ a", "gain"] for table in tables] == [0, 0, 0, 2]
    assert all(list(table.table.index) == ["plain", "+ a"] for table in tables)


def test_without_factors_there_is_one_table(tables_of):
    (level,) = tables_of({("plain", 0): 70.0, ("+ a", 0): 71.0}, ("plain", "+ a"), factors={})
    assert level.levels == {}
    assert level.table["pending"].tolist() == [2, 2]
    assert level.table["verdict"].tolist() == ["", "too few seeds"]


def test_verdicts(tables_of):
    arms = ("plain", "better", "worse", "same", "few", "none", "apart")
    wobble = [0.01, -0.01, 0.02, -0.02, 0.03, -0.03, 0.01, -0.01, 0.02]
    shift = {"plain": 0.0, "better": 1.0, "worse": -1.0, "few": 1.0}
    values = {(arm, s): 70 + s + shift[arm] for arm in shift for s in range(9) if arm != "few" or s < 3}
    values |= {("same", s): 70 + s + wobble[s] for s in range(9)} | {("apart", 9): 70}
    (level,) = tables_of(values, arms, 10, {})
    expected = ["", "win", "worse", "not decided", "too few seeds", "–", "no common seed"]
    assert level.table["verdict"].tolist() == expected
    assert not level.evidence  # which only sequential seeds have


def test_a_gain_may_be_over_an_arm_of_its_own():
    runs = runs_of({"plain": [70, 72, 74], "+ a": [71, 74, 77], "+ b": [75, 75, 75]})
    table = ablation_table(runs, "top1", "plain", {"+ b": "+ a"})
    assert table.loc["+ a", "gain"] == 2
    assert table.loc["+ b", "gain"] == pytest.approx((4 + 1 - 2) / 3)
    with pytest.raises(ValueError, match="the reference '\\+ z' is not an arm"):
        ablation_table(runs, "top1", "plain", {"+ b": "+ z"})


@pytest.fixture
def two_tables(make_plan, planned_runs):
    """Return a plan of 2 tables, 2 arms, 8 seeds, and its runs: "real" gains about 1 in the second table only."""
    plan = make_plan(arms=("plain", "real", "null"), seeds=8, factors={"mixer": ("cutmix", "mixup")})
    runs = planned_runs(plan, {(arm, s): 70.0 for arm in plan["arms"] for s in range(8)})
    runs[VALUE] += np.random.default_rng(3).normal(0, 0.1, len(runs))
    runs.loc[(runs["factor.mixer"] == "mixup") & (runs["arm"] == "real"), VALUE] += 1
    return plan, runs


def test_the_family_is_the_whole_study(two_tables):
    plan, runs = two_tables
    levels = level_tables(runs, plan)
    differences = [row for level in levels for row in level.differences.values()]
    expected = family_p(aligned(differences))
    found = [level.table.loc[arm, "p_family"] for level in levels for arm in ("real", "null")]
    assert found == pytest.approx(list(expected))
    assert [level.family for level in levels] == [Family(comparisons=4, planned=4, tables=2, seeds=8)] * 2
    assert "over_baseline" not in levels[0].table
    assert [level.table.loc["real", "verdict"] for level in levels] == ["not decided", "win"]
    assert levels[1].table["win"].tolist() == [False, True, False]


def test_a_win_of_a_table_by_itself_may_be_none_of_the_study(make_plan, planned_runs):
    plan = make_plan(arms=("plain", "+ a"), seeds=6, factors={"mixer": ("cutmix", "mixup")})
    runs = planned_runs(plan, {(arm, s): 70.0 + (arm == "+ a") for arm in ("plain", "+ a") for s in range(6)})
    runs.loc[(runs["factor.mixer"] == "mixup") & (runs["arm"] == "+ a") & (runs["seed"] == 5), VALUE] = 69.0
    for family, p in (("study", 4 / 64), ("table", 2 / 64)):  # 4 / 64 by hand in test_family.py
        level = level_tables(runs, plan | {"family": family})[0]
        assert level.table.loc["+ a", "p_family"] == p
        assert level.table.loc["+ a", "win"] == (p < 0.05)


def test_a_study_may_make_every_table_its_own_family(two_tables):
    plan, runs = two_tables
    for level in level_tables(runs, plan | {"family": "table"}):
        alone = ablation_table(level.runs, level.metric, "plain")
        assert level.table["p_family"].dropna().tolist() == alone["p_family"].dropna().tolist()
        assert (level.family.comparisons, level.family.tables) == (2, 2)


def test_seeds_are_aligned_by_their_number():
    first, second = pd.Series([1.0, 2.0], index=[8, 3]), pd.Series([5.0, 6.0], index=[3, 1])
    np.testing.assert_array_equal(aligned([first, second]), [[math.nan, 2, 1], [6, 5, math.nan]])


def test_verdicts_about_delta(two_tables):
    plan, runs = two_tables
    said = [level.table["verdict"].tolist()[1:] for level in level_tables(runs, plan | {"delta": 0.5})]
    assert said == [["equal within delta"] * 2, ["win", "equal within delta"]]
    runs.loc[(runs["factor.mixer"] == "cutmix") & (runs["arm"] == "null"), VALUE] += 0.6 * (runs["seed"] % 2) - 0.1
    assert level_tables(runs, plan | {"delta": 0.5})[0].table.loc["null", "verdict"] == "no worse than delta"


def test_delta_is_of_the_study_s_metric_alone_and_without_a_direction_nothing_is_worse(two_tables):
    plan, runs = two_tables
    plan = plan | {"delta": 0.5}
    runs.loc[(runs["factor.mixer"] == "cutmix") & (runs["arm"] == "null"), VALUE] += 0.6 * (runs["seed"] % 2) - 0.1
    undirected = [{**fields, "higher_is_better": None} for fields in plan["metrics"]]
    (first, second) = level_tables(runs, plan | {"metrics": undirected})
    assert first.table.loc["null", "verdict"] == "not decided"
    assert second.table.loc["null", "verdict"] == "equal within delta"
    (_, second) = level_tables(runs.rename(columns={VALUE: "metric.train_loss"}), plan, "train_loss")  # in nats
    assert (second.table.loc["null", "verdict"], second.family.delta) == ("not decided", None)


def test_lower_is_better_turns_the_verdicts(two_tables):
    plan, runs = two_tables
    (_, level) = level_tables(runs.rename(columns={VALUE: "metric.train_loss"}), plan, "train_loss")
    assert level.table.loc["real", "verdict"] == "worse"
    (_, level) = level_tables(runs.rename(columns={VALUE: "metric.size"}), plan, "size")
    assert level.table.loc["real", "verdict"] == "differs"
    assert not level.table["win"].any()


def test_sequential_seeds_have_e_values(two_tables):
    plan, runs = two_tables
    runs.loc[runs["arm"] == "real", VALUE] *= 1.1
    levels = level_tables(runs, plan | {"sequential": {"budget": 20}})
    assert [level.table.loc["real", "verdict"] for level in levels][1] == "win"
    assert levels[1].table.loc["real", "e_family"] >= 20
    assert "null" in levels[0].table.index[levels[0].table["e"] < 20]


def test_the_evidence_shown_is_the_largest_so_far(tables_of):
    gains = {"plain": [0] * 5, "+ a": [1, 1, 1, -1, -1], "+ b": [0, 0, 0, 0, 0]}
    values = {(arm, seed): 70.0 + gain for arm, row in gains.items() for seed, gain in enumerate(row)}
    (level,) = tables_of(values, tuple(gains), 5, {}, sequential={"budget": 30})
    assert level.table["e"].tolist()[1:] == [pytest.approx(e_value([1, 1, 1])), 1]
    # The mean with the 1 of the other comparison, which has the same share: its differences have no size.
    assert level.table["e_family"].tolist()[1:] == [pytest.approx((e_value([1, 1, 1]) + 1) / 2), 1]
    assert {arm: len(e) for arm, e in level.evidence.items()} == {"+ a": 5, "+ b": 4}  # which was given up after 4


def test_published_values_are_compared_with_the_interval_of_our_mean(make_plan, planned_runs):
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
    same = {cell: PublishedNumber(value, "median10", "a paper") for cell, value in printed.items()}
    assert not published_rules(*level_tables(planned_runs(plan, values), plan, published=same))


def test_logged_metrics_are_those_with_a_number(make_plan, planned_runs):
    plan = make_plan(factors={"mixer.alpha": (0.2, 1.0)})
    runs = planned_runs(plan, {("baseline", 0): 70.0}).assign(**{"metric.never": math.nan, "metric.test_ece": 0.1})
    assert logged_metrics(runs) == ["test_top1_median10", "test_ece"]


def test_no_finished_run_and_unknown_metric(make_plan, planned_runs):
    plan = make_plan()
    with pytest.raises(ValueError, match="study 'ablation_tiny' has no run that is done: 9 pending"):
        level_tables(planned_runs(plan, {}), plan)
    runs = planned_runs(plan, {("baseline", 0): 70.0})
    with pytest.raises(ValueError, match="metric 'top9'; logged: test_top1_median10"):
        level_tables(runs, plan, "top9")


def test_a_sequential_study_without_any_pair_yet_has_a_table(tables_of):
    (level,) = tables_of({("baseline", 0): 70.0}, ("baseline", "+ lam"), factors={}, sequential={"budget": 20})
    assert level.comparisons == 0
    assert level.table["pending"].tolist() == [0, 1]  # nobody has asked for further seeds yet
    assert level.table["verdict"].to_dict() == {"baseline": "", "+ lam": "–"}
    assert level.table["e_family"].isna().all()
