"""Ranks over tables agree with the example of Demšar (JMLR 2006, Table 6 and Section 3.2.2), and p with SciPy's."""

import math

import numpy as np
import pytest
from scipy.stats import f, friedmanchisquare

from analysis.statistics.over_tables import ranking, ranking_of
from analysis.statistics.tables import level_tables
from tests.analysis.planned import VALUE, lose, make_plan, planned_runs

ARMS = ("C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf")
AUC = (  # on 14 data sets; "voting" ties only because of rounding in print
    (0.763, 0.768, 0.771, 0.798),
    (0.599, 0.591, 0.590, 0.569),
    (0.954, 0.971, 0.968, 0.967),
    (0.628, 0.661, 0.654, 0.657),
    (0.882, 0.888, 0.886, 0.898),
    (0.936, 0.931, 0.916, 0.931),
    (0.661, 0.668, 0.609, 0.685),
    (0.583, 0.583, 0.563, 0.625),
    (0.775, 0.838, 0.866, 0.875),
    (1.000, 1.000, 1.000, 1.000),
    (0.940, 0.962, 0.965, 0.962),
    (0.619, 0.666, 0.614, 0.669),
    (0.972, 0.981, 0.9751, 0.975),
    (0.957, 0.978, 0.946, 0.970),
)


def test_the_example_of_demsar():
    found = ranking(AUC, ARMS)
    assert found.ranks.round(3).to_dict() == {"C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143}
    assert found.tables == 14
    assert found.difference == pytest.approx(1.25, abs=0.005)  # 2.569 sqrt(4 5 / (6 14))
    assert found.p == pytest.approx(0.0115, abs=2e-4)  # for F = 4.19; without a correction for ties he gives F = 3.69
    assert found.groups() == [["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]]  # "not powerful enough"
    assert found.able


@pytest.mark.parametrize("levels", [2, 3, 1000])
def test_p_is_corrected_for_ties(levels):
    values = np.random.default_rng(levels).integers(levels, size=(12, 5)) + np.arange(5) // 2
    chi2 = friedmanchisquare(*values.T).statistic  # T (K - 1) is the most that it can be
    assert ranking(values, "abcde").p == pytest.approx(f.sf(11 * chi2 / (12 * 4 - chi2), 4, 44))


def test_arms_that_tie_in_every_table_are_alike():
    assert ranking([(0.3, 0.3, 0.3, 0.3, 0.1 + 0.2)] * 9, "abcde").p == 1


def test_p_of_tables_that_all_rank_alike_is_that_of_chance():
    assert ranking([(5, 4, 3, 2, 1)] * 2, "abcde").p == pytest.approx(1 / 120)  # 5! orders of the second table
    assert ranking([(2, 1, 1, 1, 1)] * 3, "abcde").p == pytest.approx(1 / 25)  # 5 places of the best arm
    assert ranking([range(200)] * 2, list(map(str, range(200)))).p == 0  # 1 / 200!, below the smallest float


def test_groups_by_hand():
    found = ranking([(5, 4, 3, 2, 1)] * 9, "abcde")
    assert list(found.ranks) == [1, 2, 3, 4, 5]
    assert found.difference == pytest.approx(2.728 * math.sqrt(30 / 54), abs=1e-3)  # 2.03
    assert found.groups() == [["a", "b", "c"], ["b", "c", "d"], ["c", "d", "e"]]
    assert found.p == pytest.approx(120**-8)
    assert ranking([(5, 4, 3, 2, 1)] * 9, "abcde", higher_is_better=False).ranks.index[0] == "e"


def test_groups_have_two_arms_or_more_and_are_named_once():
    # 2.343 sqrt(12 / (6 T)) is 1.1 for 9 tables, and 0.9 for 14.
    assert ranking([(3, 2, 1)] * 9, "abc").groups() == [["a", "b"], ["b", "c"]]
    assert ranking([(3, 2, 1)] * 14, "abc").groups() == []
    assert ranking([(2, 2, 1)] * 14, "abc").groups() == [["a", "b"]]


def test_two_tables_cannot_tell_five_arms_apart():
    # 2.728 sqrt(30 / (6 T)) is 4.3 and 3.5, and the ranks of the best and the worst differ by 4.
    assert not ranking([range(5)] * 2, "abcde").able
    assert ranking([range(5)] * 3, "abcde").able


def test_a_study_counts_complete_tables_and_no_control():
    arms = ("none", "mixup", "cutmix", "fmix", "puzzlemix", "raw pass")
    plan = make_plan(arms=arms, seeds=2, factors={"backbone": ("a", "b", "c")}, controls=["raw pass"])
    runs = planned_runs(plan, lambda arm, _: 70.0 + arms.index(arm))
    found = ranking_of(level_tables(runs, plan))
    assert (list(found.ranks.index), found.tables) == (["puzzlemix", "fmix", "cutmix", "mixup", "none"], 3)
    five = ranking_of(level_tables(lose(runs, "raw pass"), plan | {"controls": []}))
    assert list(five.ranks) == list(found.ranks)  # of an arm without any value nothing is known
    runs = lose(runs, "fmix", backbone="c")
    found = ranking_of(level_tables(runs, plan))
    assert found.tables == 2
    four = plan | {"controls": ["raw pass", "none"]}
    assert ranking_of(level_tables(runs, four)) is None
    assert ranking_of(level_tables(runs, plan)[:1]) is None
    lower = plan | {"metrics": [{**fields, "higher_is_better": False} for fields in plan["metrics"]]}
    assert ranking_of(level_tables(runs, lower)).ranks.index[0] == "none"
    undirected = runs.rename(columns={VALUE: "metric.size"})
    assert ranking_of(level_tables(undirected, plan, "size")) is None
