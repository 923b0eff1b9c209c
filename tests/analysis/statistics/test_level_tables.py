"""The tables of a whole study: one a combination of levels, one family of all, and their verdicts."""

import numpy as np
import pytest

from analysis.statistics.pairs import aligned
from analysis.statistics.sequential import e_value, family_wealth
from analysis.statistics.significance import family_p
from analysis.statistics.tables import Family, ablation_table, level_tables
from tests.analysis.planned import ARMS, VALUE, make_plan, planned_runs, tables_of


def test_one_table_per_level_in_the_order_of_the_plan():
    plan = make_plan(arms=("plain", "+ a"), factors={"mixer": ("puzzlemix", "cutmix"), "backbone": ("r20", "r8")})
    runs = planned_runs(plan, lambda _, seed: 70.0 + seed)
    here = (runs["factor.mixer"] == "cutmix") & (runs["factor.backbone"] == "r8") & (runs["arm"] == "+ a")
    runs.loc[here, VALUE] += 2
    tables = level_tables(runs.sample(frac=1, random_state=0), plan)
    names = [f"mixer = {mixer}, backbone = {net}" for mixer in ("puzzlemix", "cutmix") for net in ("r20", "r8")]
    assert [table.name for table in tables] == names
    assert [table.table.loc["+ a", "gain"] for table in tables] == [0, 0, 0, 2]
    assert all(list(table.table.index) == ["plain", "+ a"] for table in tables)


def test_without_factors_there_is_one_table():
    (level,) = tables_of({("plain", 0): 70.0, ("+ a", 0): 71.0}, ("plain", "+ a"), factors={})
    assert level.levels == {}
    assert level.table["pending"].tolist() == [2, 2]
    assert level.table["verdict"].tolist() == ["", "too few seeds"]


@pytest.fixture
def two_tables():
    """Return a plan of 2 tables, 2 arms, 8 seeds, and its runs: "real" gains about 1 in the second table only."""
    plan = make_plan(arms=("plain", "real", "null"), seeds=8, factors={"mixer": ("cutmix", "mixup")})
    runs = planned_runs(plan, lambda *_: 70.0)
    runs[VALUE] += np.random.default_rng(3).normal(0, 0.1, len(runs))
    runs.loc[(runs["factor.mixer"] == "mixup") & (runs["arm"] == "real"), VALUE] += 1
    return plan, runs


def test_the_family_is_the_whole_study(two_tables):
    plan, runs = two_tables
    levels = level_tables(runs, plan | {"against": {"null": "plain"}})  # which is the baseline
    differences = [row for level in levels for row in level.differences.values()]
    expected = family_p(aligned(differences))
    found = [level.table.loc[arm, "p_family"] for level in levels for arm in ("real", "null")]
    assert found == pytest.approx(list(expected))
    assert [level.family for level in levels] == [Family(comparisons=4, planned=4, tables=2, seeds=8)] * 2
    assert "over_baseline" not in levels[0].table
    assert [level.table.loc["real", "verdict"] for level in levels] == ["not decided", "win"]
    assert levels[1].table["win"].tolist() == [False, True, False]
    runs.loc[(runs["factor.mixer"] == "mixup") & (runs["seed"] == 7), [VALUE, "status"]] = [np.nan, "pending"]
    assert [level.family.unfinished for level in level_tables(runs, plan)] == [True, True]


def test_a_win_of_a_table_by_itself_may_be_none_of_the_study():
    plan = make_plan(arms=("plain", "+ a"), seeds=6, factors={"mixer": ("cutmix", "mixup")})
    runs = planned_runs(plan, lambda arm, _: 70.0 + (arm == "+ a"))
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


def test_sequential_seeds_have_e_values(two_tables):
    plan, runs = two_tables
    runs.loc[runs["arm"] == "real", VALUE] *= 1.1
    plan = plan | {"sequential": {"budget": 20}}
    begun = level_tables(runs[runs["seed"] < 4], plan)
    differences = aligned(row for level in begun for row in level.differences.values())
    wanted = family_wealth(differences, tables=("cutmix", "cutmix", "mixup", "mixup")).max(axis=1)
    found = [level.table.loc[arm, "e_family"] for level in begun for arm in ("real", "null")]
    assert found == pytest.approx(wanted.tolist())
    levels = level_tables(runs, plan)
    assert [level.table.loc["real", "verdict"] for level in levels][1] == "win"
    assert levels[1].table.loc["real", "e_family"] >= 20
    errors = [{**fields, "higher_is_better": False} for fields in plan["metrics"]]
    assert level_tables(runs, plan | {"metrics": errors})[1].table.loc["real", "verdict"] == "worse"
    assert "null" in levels[0].table.index[levels[0].table["e"] < 20]


def test_the_evidence_shown_is_the_largest_so_far():
    gains = {"plain": [0] * 5, "+ a": [1, 1, 1, -1, -1], "+ b": [0, 0, 0, 0, 0]}
    values = {(arm, seed): 70.0 + gain for arm, row in gains.items() for seed, gain in enumerate(row)}
    (level,) = tables_of(values, tuple(gains), 5, {}, sequential={"budget": 30})
    assert level.table["e"].tolist()[1:] == [pytest.approx(e_value([1, 1, 1])), 1]
    # The mean with the 1 of the other comparison, which has the same share: its differences have no size.
    assert level.table["e_family"].tolist()[1:] == [pytest.approx((e_value([1, 1, 1]) + 1) / 2), 1]
    assert {arm: len(e) for arm, e in level.evidence.items()} == {"+ a": 5, "+ b": 4}  # "+ b" was given up after 4
    gains = {"plain": [0] * 9, "+ a": [9] * 9, "+ b": [9, -2, *[9] * 7]}  # "+ b" grows after "+ a" was decided
    values = {(arm, seed): 70.0 + gain for arm, row in gains.items() for seed, gain in enumerate(row)}
    (level,) = tables_of(values, tuple(gains), 9, {}, sequential={"budget": 30})
    first, second = (level.evidence[arm] for arm in ("+ a", "+ b"))
    assert len(first) < len(second)
    assert level.table["e_family"].tolist()[1:] == [first.max(), second.max()]
    assert level.table.loc["+ a", "e"] == pytest.approx(e_value([9.0] * len(first)))  # without the seeds after that


def test_a_sequential_study_without_any_pair_yet_has_a_table():
    (level,) = tables_of({("baseline", 0): 70.0}, ("baseline", "+ lam"), factors={}, sequential={"budget": 20})
    assert level.comparisons == 0
    assert not level.family.unfinished  # it may be looked at after any seed
    assert level.table["pending"].tolist() == [0, 1]  # nobody has asked for further seeds yet
    assert level.table["verdict"].to_dict() == {"baseline": "", "+ lam": "–"}
    assert level.table["e_family"].isna().all()


def test_a_comparison_without_a_pair_has_no_evidence_but_counts_in_the_correction_of_the_others():
    values = {(arm, seed): gain + seed for arm, gain in (("baseline", 0.0), ("+ lam", 2.0)) for seed in range(5)}
    (level,) = tables_of(values, ARMS, 5, {}, sequential={"budget": 20})
    evidence = e_value([2.0] * 5)
    assert level.table.loc["+ lam", ["e", "e_family"]].tolist() == [evidence, (evidence + 1) / 2]
    assert level.table.loc["+ l_s", ["e", "e_family"]].isna().all()
