"""The figures of estimates and of evidence show the numbers of the statistics."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.figures.estimates import Estimate, cut_text, draw_estimates, limits_of
from analysis.figures.forest import NO_P, plot_effects, plot_forest, plot_ranks
from analysis.figures.plots import plot_gains, plot_wealth, wealth_points
from analysis.records.published import PublishedNumber
from analysis.statistics.over_tables import over_tables, ranking_of
from analysis.statistics.sequential import e_value
from analysis.statistics.tables import level_tables
from analysis.words.cells import p_text
from mixlab.spec.metric import Metric
from tests.analysis.figures.reading import texts
from tests.analysis.planned import VALUE, lose, make_plan, planned_runs, tables_of

TWO_OF_A = {"arms": ("none", "a"), "factors": {"mixer": ("x", "y")}}  # two tables of one comparison
DESIGN = {"terms": ["a"], "signs": {"none": {"a": -1}, "a": {"a": 1}}}


def test_a_forest_has_a_row_a_table_and_both_answers():
    plan = make_plan(seeds=6, factors={"mixer": ("cutmix", "fmix", "resizemix")}, against={"+ l_s": "+ lam"})
    rng = np.random.default_rng(0)
    runs = planned_runs(plan, lambda _, seed: 70.0 + seed)
    gain = np.where(runs["arm"] == "+ lam", 1.0, 0.0)
    runs[VALUE] += gain + rng.normal(0, 0.3, len(runs))
    printed = {("cutmix", "baseline"): 78.17, ("cutmix", "+ lam"): 79.13, ("cutmix", "+ l_s"): 79.53}
    published = {cell: PublishedNumber(value, "median10", "a paper") for cell, value in printed.items()}
    levels = level_tables(runs, plan, published=published)
    figure = plot_forest("tiny", levels)
    axis, other = figure.subfigs[0].axes
    assert [each.get_title(loc="left") for each in (axis, other)] == ["+ lam against baseline", "+ l_s against + lam"]
    names = [label.get_text() for label in axis.get_yticklabels()]
    assert names == ["mixer = cutmix", "mixer = fmix", "mixer = resizemix", "here", "in general"]
    marks = [line for line in axis.lines if line.get_marker() == "D"]
    solid = [float(line.get_xdata()[0]) for line in marks if line.get_markerfacecolor() != "white"]
    answers, row = over_tables(levels), levels[0].table.loc["+ lam"]
    (bar,) = [list(line.get_xdata()) for line in axis.lines if list(line.get_ydata()) == [0, 0]]
    assert bar == [row["gain_low"], row["gain_high"]]
    assert solid[:3] == [level.table.loc["+ lam", "gain"] for level in levels]
    assert solid[3:] == [answers.loc[("+ lam", q), "effect"] for q in ("here", "in general")]
    hollow = [line.get_xdata()[0] for line in (*axis.lines, *other.lines) if line.get_markerfacecolor() == "white"]
    assert hollow == pytest.approx([79.13 - 78.17, 79.53 - 79.13])
    notes = [text.get_text() for text in axis.texts]
    assert notes == [f"p {p_text(answers.loc[('+ lam', 'here'), 'p'])}", "n = 3, too few to claim"]
    assert "from 6 tables on. p: exact sign-flip test of that line alone. Hollow:" in texts(figure)
    assert plot_forest("tiny", levels[:1]) is None


def test_a_forest_names_the_arms_of_which_no_two_tables_have_a_gain():
    arms, factors = ("baseline", "a", "rare", "lost"), {"mixer": ("cutmix", "fmix")}
    levels = tables_of(
        lambda _, seed: 70.0 + seed, arms, 2, factors, lambda runs: lose(lose(runs, "lost"), "rare", mixer="fmix")
    )
    figure = plot_forest("tiny", levels)
    assert [axis.get_title(loc="left") for axis in figure.subfigs[0].axes] == ["a against baseline"]
    assert "from 6 tables on. Not shown" in texts(figure)  # p is not mentioned: it needs more seeds or tables
    assert "Not shown, as no two tables have a gain of it: rare, lost." in texts(figure)


@pytest.mark.parametrize(("tables", "end", "bars"), [(2, 5, [(1, 5)]), (8, 3.157, [(1, 3), (2, 4), (3, 5)])])
def test_ranks_of_many_arms_say_over_how_many_tables(tables, end, bars):
    arms = ("none", "mixup", "cutmix", "fmix", "puzzlemix")
    levels = tables_of(lambda arm, _: 70.0 + arms.index(arm), arms, 2, {"backbone": tuple("abcdefgh"[:tables])})
    figure = plot_ranks("tiny", levels)
    said, (axis,) = texts(figure), figure.subfigs[0].axes
    assert f"mean rank over n = {tables} tables" in said
    assert f"(Iman and Davenport): p {p_text(ranking_of(levels).p)}. cifar10, " in said
    assert "Not ranked" not in said
    assert ("critical difference 2.16 " in said, ", longer than the axis" in said) == (tables == 8, tables == 2)
    assert ("So few tables cannot tell any two of 5 arms apart" in said) == (tables == 2)
    names = sorted((text for text in axis.texts if hasattr(text, "xy")), key=lambda text: text.xy)  # by column
    in_columns = " ".join(text.get_text() for text in names)
    assert in_columns == "1.00 puzzlemix 2.00 fmix 3.00 cutmix 5.00 none 4.00 mixup"
    lines = [(line.get_linewidth(), line.get_xdata()) for line in axis.lines]
    (critical,) = [ends for width, ends in lines if width == 1.5]
    assert list(critical) == pytest.approx([1, end], abs=1e-3)  # Nemenyi's: 2.728 times the root of 5 * 6 / 6 / 8
    joined = [list(ends) for width, ends in lines if width == 3.5]
    assert joined == [pytest.approx([best - 0.04, worst + 0.04]) for best, worst in bars]
    assert plot_ranks("tiny", levels[:1]) is None


def test_ranks_say_which_arms_and_tables_they_leave_out():
    arms = ("none", "mixup", "cutmix", "fmix", "puzzlemix", "raw pass", "lost")
    shown = {(arm, seed): 70.0 + arms.index(arm) for arm in arms[:-1] for seed in range(2)}
    levels = tables_of(shown, arms, 2, {"backbone": ("a", "b")}, controls=["raw pass"])
    said = texts(plot_ranks("tiny", levels))
    assert "Not ranked: raw pass (control), lost (no value)." in said
    assert "the others lack" not in said
    third = replace(levels[0], table=levels[0].table.assign(mean=np.nan))
    said = texts(plot_ranks("tiny", [*levels, third]))
    assert "n = 2 tables" in said
    assert "Of the 3 tables of the study, the others lack the value of an arm." in said


def test_earlier_looks_are_told_where_a_p_stands():
    arms = {"baseline": (-1, -1), "+ a": (1, -1), "+ b": (-1, 1), "+ a + b": (1, 1)}
    signs = {arm: {"a": x, "b": y} for arm, (x, y) in arms.items()}
    factors = {"mixer": tuple("abcdef")}
    levels = tables_of(lambda arm, seed: 70.0 + len(arm) + seed, tuple(arms), 7, factors, looks={"seeds": [6]})
    for figure in (plot_forest("tiny", levels), plot_effects("tiny", levels, {"terms": ["a", "b"], "signs": signs})):
        assert ". Looked at before: a table of 6 seeds. p holds only if the present seeds had been" in texts(figure)


def test_effects_of_a_design_are_twice_what_its_signs_add():
    arms = {"baseline": (-1, -1), "+ a": (1, -1), "+ b": (-1, 1), "+ a + b": (1, 1)}
    levels = tables_of(lambda arm, seed: 70.0 + seed + arms[arm][0] + 2 * arms[arm][1], tuple(arms), 6)
    signs = {arm: {"a": x, "b": y} for arm, (x, y) in arms.items()}
    figure = plot_effects("tiny", levels, {"terms": ["a", "b"], "signs": signs})
    (axis,) = figure.subfigs[0].axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["a", "b", "a × b"]
    marks = [float(line.get_xdata()[0]) for line in axis.lines if line.get_marker() == "D"]
    assert marks == pytest.approx([2.0, 4.0, 0.0])
    assert [text.get_text() for text in axis.texts] == [f"p (family) {p}" for p in ("0.0312", "0.0312", "1.0000")]
    assert axis.get_xlabel() == "effect, percentage points"
    assert plot_effects("tiny", levels, None) is None
    (one,) = tables_of(lambda arm, _: 70.0 + len(arm), tuple(arms), 1)
    said = texts(plot_effects("tiny", [one], {"terms": ["a", "b"], "signs": signs}))
    assert "One seed, so neither intervals nor p." in said
    assert "p (family)" not in said


def test_an_axis_holds_every_mark_and_an_arrow_shows_where_an_interval_goes_on():
    none = float("nan")
    rows = [Estimate("wide", 1.0, -17.0, 19.0), Estimate("missing", none, none, none)]
    rows += [Estimate(name, 2.0, 1.0, high, summary=True) for name, high in (("here", 2.5), ("in general", 30.0))]
    assert limits_of(rows) == pytest.approx((-2.36, 4.36))  # the marks 0 to 2, as much on both sides, and 6 % of all
    assert limits_of([Estimate("five", 5.0, 4.0, 6.0)]) == pytest.approx((-0.36, 6.36))
    assert limits_of([Estimate("zero", 0.0, -1.0, 1.0)]) == (-1.0, 1.0)
    assert [bool(cut_text(each)) for each in (rows, rows[2:], rows[2:3])] == [True, True, False]
    axis = Figure().subplots()
    draw_estimates(axis, rows, limits_of(rows), 40)
    arrows = [line for line in axis.lines if line.get_marker() in ("<", ">")]
    drawn = [(line.get_marker(), *map(float, (line.get_ydata()[0], line.get_xdata()[0]))) for line in arrows]
    low, high = -2.36 + 0.012 * 6.72, 4.36 - 0.012 * 6.72  # within the axis, whose width is 6.72
    expected = [("<", 0, pytest.approx(low)), (">", 0, pytest.approx(high)), (">", 3, pytest.approx(high))]
    assert drawn == expected
    assert [y for x, y in (line.get_data() for line in axis.lines) if list(x) == [0, 1]] == [[1.5, 1.5]]  # in between
    assert [(text.get_text().strip(), text.get_position()[1]) for text in axis.texts] == [("no value", 1)]
    assert axis.get_ylim() == (3.6, -0.6)


def test_an_arrow_is_explained_where_there_is_one():
    for apart, said in ((1.0, True), (0.0, False)):  # an interval of two seeds is 18 sd wide
        levels = tables_of(lambda arm, seed, apart=apart: 70.0 + (arm == "a") * (1 + seed * apart), seeds=2, **TWO_OF_A)
        for figure in (plot_gains("tiny", levels), plot_forest("tiny", levels), plot_effects("tiny", levels, DESIGN)):
            assert ("Arrow: the interval goes on." in texts(figure)) == said


def test_a_table_without_an_arm_of_the_design_has_no_panel():
    """A search confirms no arm of which it has found no winner."""
    plan = make_plan(seeds=6, **TWO_OF_A)
    plan["trials"] = [each for each in plan["trials"] if (each["levels"]["mixer"], each["arm"]) != ("x", "a")]
    levels = level_tables(planned_runs(plan, lambda _, seed: 70.0 + seed), plan)
    figure = plot_effects("tiny", levels, DESIGN)
    assert [axis.get_title(loc="left") for axis in figure.subfigs[0].axes] == ["mixer = y"]
    assert plot_effects("tiny", levels[:1], DESIGN) is None


def test_what_is_better_lower_is_no_gain():
    plan = make_plan(seeds=2, **TWO_OF_A)
    runs = planned_runs(plan, lambda _, seed: 70.0 + seed)
    for higher, what, over in ((True, "gain", "gain over"), (False, "difference", "difference from")):
        levels = level_tables(runs, plan, Metric("test_top1_median10", "%", higher_is_better=higher))
        assert plot_forest("tiny", levels).subfigs[0].axes[-1].get_xlabel() == f"{what}, percentage points"
        assert f"{over} baseline, percentage points (paired by seed)" in texts(plot_gains("tiny", levels))


@pytest.mark.slow
def test_the_numbers_of_many_ranks_do_not_overlap(painted):
    arms = tuple(f"arm {number}" for number in range(41))
    figure = plot_ranks("tiny", tables_of(lambda arm, _: float(len(arm)), arms, 1, {"backbone": ("a", "b")}))
    figure.draw_without_rendering()
    numbers = [text for text in figure.subfigs[0].axes[0].texts if text.get_text().isdigit()]
    ends = sorted(text.get_window_extent().intervalx.tolist() for text in numbers)
    assert all(left[1] < right[0] for left, right in itertools.pairwise(ends))


def test_a_wide_name_is_inside_the_figure_of_ranks(painted):
    named = "a very long arm name that describes everything about the change in prose ({})"
    long = (named.format(f"zeta={zeta}, alpha=0.4") for zeta in (0.25, 0.5))  # five lines each
    arms = ("MIXED BY A MOMENTUM GMM", "WWWWWWWWWWWW" * 4, "混" * 9, "UNMIXED AND WHOLE WWWWW", *long)
    figure = plot_ranks("tiny", tables_of(lambda arm, _: float(len(arm)), arms, 1, {"backbone": ("a", "b")}))
    figure.draw_without_rendering()
    drawn = figure.subfigs[0].axes[0].texts
    assert arms[1] in {text.get_text().replace("\n", "") for text in drawn}  # whole, in two lines
    ends = [text.get_window_extent().intervalx for text in drawn]
    assert min(map(min, ends)) >= 0
    assert max(map(max, ends)) <= figure.bbox.width
    for side in ("left", "right"):
        names = [text for text in drawn if text.get_ha() == side and not re.match(r"\d\.", text.get_text())]
        heights = sorted(name.get_window_extent().intervaly.tolist() for name in names)
        assert all(below[1] < above[0] for below, above in itertools.pairwise(heights))


@pytest.mark.slow
def test_wealth_is_said_to_be_corrected_for_its_family_and_beside_it_no_p_holds():
    study = {"seeds": 4, "factors": {"mixer": ("x", "y")}, "sequential": {"budget": 20}}
    for sequential in ({}, {"sequential": {"budget": 20}}):
        levels = tables_of(lambda arm, seed: 70.0 + seed + len(arm), seeds=6, **TWO_OF_A, **sequential)
        for said in (texts(plot_forest("tiny", levels)), texts(plot_effects("tiny", levels, DESIGN))):
            assert bool(sequential) == (NO_P in said) != bool(re.search(r"\bp (\(family\) )?0\.0", said))
    for family, said in (("study", "for all 4 comparisons of the study"), ("table", "2 comparisons of a table alone")):
        figure = plot_wealth("tiny", tables_of(lambda arm, seed: 70.0 + seed + len(arm), **study, family=family))
        assert said in texts(figure)


def test_wealth_begins_at_one_and_ends_at_the_e_value():
    def value(arm, seed):
        return 70.0 + seed + (arm == "+ lam") * (1 + seed / 20)

    levels = tables_of(value, ("baseline", "+ lam"), 9, sequential={"budget": 20})
    points = wealth_points(levels)
    assert list(points["seeds"]) == list(range(7))  # it is decided after 6 of the 9 seeds
    assert points["wealth"].iloc[0] == 1
    differences = [1 + s / 20 for s in range(6)]
    assert points["wealth"].iloc[-1] == pytest.approx(e_value(differences))
    (axis,) = (figure := plot_wealth("tiny", levels).subfigs[0]).axes
    assert [line.get_ydata()[0] for line in axis.lines if line.get_linestyle() == "--"] == [20]
    assert axis.get_ylim() == pytest.approx((1 / 1.5, 1.5 * max(40, points["wealth"].max())))
    assert [label.get_text() for label in axis.get_yticklabels()] == ["1", "20"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["+ lam"]
    alone = tables_of({("baseline", 0): 70.0}, ("baseline", "+ lam"), 1, sequential={"budget": 20})
    assert plot_wealth("tiny", alone) is None
