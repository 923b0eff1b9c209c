"""What the figures show: the numbers of the tables, every dot, the units, and one colour an arm."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from analysis.figures.captioned import caption_lines, save, save_with_points
from analysis.figures.drawing import BASELINE_COLOUR, colours_of, panels
from analysis.figures.forest import plot_forest, plot_ranks
from analysis.figures.plots import plot_curves, plot_gains, plot_two_lines
from analysis.loss_landscape import plot_plane
from analysis.occlusion import plot_occlusion
from analysis.statistics.tables import level_tables
from analysis.words.cells import paper_cells
from tests.analysis.figures.reading import texts
from tests.analysis.planned import ARMS, curves_of, lose, make_plan, planned_runs, tables_of


@pytest.fixture(scope="module")
def levels():
    return tables_of(
        lambda arm, seed: 70.0 + ARMS.index(arm) * (1 + seed),
        factors={"mixer": ("cutmix", "saliencymix")},
        change=lambda runs: lose(runs, "+ l_s", mixer="saliencymix"),
    )


def lines_at(axis, y):
    return [line.get_xdata() for line in axis.lines if np.allclose(line.get_ydata(), y)]


def test_gains_are_drawn_where_the_table_says(levels):
    assert plot_gains("tiny", tables_of(lambda *_: 70.0, ("baseline",))) is None
    figure = plot_gains("ablation_tiny", levels)
    axis, other = figure.axes
    row = levels[0].table.loc["+ lam"]
    interval, mean = lines_at(axis, 0)
    assert list(interval) == [row["gain_low"], row["gain_high"]]
    assert list(mean) == [row["gain"]]
    (seeds,) = lines_at(axis, 0.24)
    assert sorted(seeds) == [1, 2, 3]
    low, high = axis.get_xlim()  # every dot is in view
    assert low < 0 < 6 < high
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["+ lam", "+ l_s"]
    assert [text.get_text().strip() for text in other.texts] == ["no value"]
    assert not lines_at(other, 1)
    for part in ("gain over baseline, percentage points (paired by seed)", "n = 0 to 3", "commit 0123456789ab"):
        assert part in texts(figure)
    colours = colours_of(levels[0])
    assert len(set(colours.values())) == 3
    assert colours["baseline"] == BASELINE_COLOUR
    drawn = {line.get_ydata()[0]: to_hex(line.get_color()).upper() for line in axis.lines if len(line.get_xdata()) == 1}
    assert drawn == {0: colours["+ lam"], 1: colours["+ l_s"]}


def test_gains_say_what_an_arm_is_compared_with_where_it_is_not_the_baseline(painted):
    figure = plot_gains("tiny", tables_of(lambda *_: 70.0, against={"+ lam": "baseline", "+ l_s": "+ lam"}))
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == ["+ lam", "+ l_s against + lam"]
    assert "gain over the arm it is compared with, percentage points" in texts(figure)
    figure.draw_without_rendering()  # its axis has a label of three lines
    upper, lower = (name.get_window_extent() for name in figure.axes[0].get_yticklabels())
    assert not upper.overlaps(lower)


def curve_points(epochs, value):
    """Return the points of three seeds of every arm of the first table, from a value by epoch and seed."""
    cells = itertools.product(ARMS, range(3), epochs)
    rows = [("cutmix", arm, seed, epoch, value(epoch, seed)) for arm, seed, epoch in cells]
    return pd.DataFrame(rows, columns=["factor.mixer", "arm", "seed", "epoch", "value"])


def test_curves_show_mean_and_range_of_the_seeds(levels):
    figure = plot_curves("ablation_tiny", curve_points(range(4), lambda epoch, seed: 10.0 * epoch + seed), levels)
    axis = figure.axes[0]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("epoch", "top-1 accuracy, %")
    assert [line.get_label() for line in axis.lines] == list(ARMS)
    assert list(axis.lines[0].get_ydata()) == [1.0, 11.0, 21.0, 31.0]
    band = axis.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (0.0, 32.0)
    two = [curve_points(range(2), lambda x, seed, end=end: end + x + seed).assign(part=str(end)) for end in (10, 50)]
    points, options = pd.concat(two).rename(columns={"epoch": "x", "value": "y"}), {"labels": ("x", "y"), "width": 1}
    lines = plot_two_lines("ablation_tiny", points, levels, "", parts=("10", "50"), **options).axes[0].lines
    drawn = [(line.get_linestyle(), line.get_ydata()[0], line.get_label()) for line in lines]
    assert drawn == [each for arm in ARMS for each in (("-", 11, arm), ("--", 51, "_dashed"))]


def test_a_curve_of_one_epoch_is_a_mark_that_one_sees(painted, levels):
    """A line and a band would have no width, and the axis ticks at parts of an epoch."""
    figure = plot_curves("ablation_tiny", curve_points([1], lambda _, seed: 10.0 + seed), levels)
    axis = figure.axes[0]
    assert [line.get_marker() for line in axis.lines] == ["o", "s", "D"]
    (bar,) = axis.collections[0].get_segments()
    assert bar.tolist() == [[1, 10], [1, 12]]
    figure.draw_without_rendering()
    assert [tick for tick in axis.get_xticks() if np.prod(axis.get_xlim() - tick) < 0] == [1]
    assert "Mark: mean over seeds, bar: lowest to highest seed" in texts(figure)


def test_a_curve_leaves_out_a_seed_where_it_has_diverged(levels):
    curves = curve_points(range(2), lambda epoch, seed: np.inf if (epoch, seed) == (1, 2) else 10.0 * epoch + seed)
    line, *_ = plot_curves("ablation_tiny", curves, levels).axes[0].lines
    assert list(line.get_ydata()) == [1.0, 10.5]


@pytest.mark.slow
def test_a_table_may_lack_an_arm_of_the_others(monkeypatch):
    """A search confirms no arm of which it has found no winner."""
    arms, factors = tuple("abcdef"), {"mixer": ("cutmix", "mixup", "fmix")}
    plan = make_plan(arms=arms, seeds=6, factors=factors)
    plan["trials"] = [each for each in plan["trials"] if (each["levels"]["mixer"], each["arm"]) != ("cutmix", "b")]
    runs = planned_runs(plan, lambda arm, seed: 70.0 + seed + arms.index(arm) * (1 + seed / 10))
    levels = level_tables(runs, plan)
    assert paper_cells(levels)["b"].tolist() == ["–", "73.75 ± 2.06", "73.75 ± 2.06"]
    monkeypatch.setattr("analysis.figures.forest.MOST_ARMS", 2)
    assert "Only the first 2 of 5 arms are shown." in texts(plot_forest("tiny", levels))
    assert plot_ranks("tiny", levels) is not None
    axes = plot_gains("tiny", levels).axes
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == list("bcdef")
    assert [[text.get_text().strip() for text in axis.texts] for axis in axes] == [["no value"], [], []]
    for axis in axes:
        last = {to_hex(line.get_color()).upper() for line in axis.lines if np.allclose(line.get_ydata(), 4)}
        assert last == {colours_of(levels[0])["f"]}


@pytest.mark.parametrize("seeds", [1, 3])
def test_captions_say_where_the_runs_come_from_and_claim_no_spread_of_one_seed(seeds):
    drawn = tables_of(lambda arm, seed: 70.0 + len(arm) + seed, seeds=seeds)
    points = pd.concat([curves_of(drawn), curves_of(drawn).assign(epoch=2)])
    said = [texts(plot_gains("tiny", drawn)), texts(plot_curves("tiny", points, drawn))]
    spread = ("t interval, 95 %", "band: lowest to highest")
    without = ("one seed, which has no interval", "one seed, so no band")
    for text, several, alone in zip(said, spread, without, strict=True):
        assert f"20 epochs, n = {seeds}, seed" in text
        assert "commit 0123456789ab" in text
        assert (several in text, alone in text) == (seeds > 1, seeds == 1)


def test_a_legend_has_the_arms_in_their_order_and_says_which_have_no_value(levels):
    """An arm that the first table lacks is not moved to the end, and one that all tables lack is named."""
    two = pd.concat([curves_of(levels[:1]).query("arm == 'baseline'"), curves_of(levels[1:]).query("arm == '+ lam'")])
    (legend,) = plot_curves("tiny", two, levels[::-1]).subfigs[0].legends
    assert [text.get_text() for text in legend.get_texts()] == ["baseline", "+ lam", "+ l_s: no value"]


def test_figures_leave_the_caller_s_style_alone(levels, painted, tmp_path):
    from matplotlib import rcParams

    rcParams["backend"]  # found out when it is first asked for
    before = rcParams.copy()
    files = save(plot_gains("ablation_tiny", levels), tmp_path / "gains")
    assert [file.name for file in files] == ["gains.png", "gains.pdf", "gains.tex"]
    assert rcParams == before


def test_a_pdf_leaves_the_title_and_the_caption_to_the_paper(levels, monkeypatch, tmp_path):
    figure, shown, boxes = plot_gains("ablation_tiny", levels), {}, {}

    def savefig(figure, file, **options):
        ending = file.suffix if isinstance(file, Path) else ".png"
        shown[ending] = {
            text.get_text()
            for part in figure.subfigs
            for text in part.texts
            if part.get_visible() and text.get_visible()
        }
        boxes[ending] = options.get("bbox_inches")

    monkeypatch.setattr(Figure, "savefig", savefig)
    *_, latex = save(figure, tmp_path / "quick" / "gains")
    title, caption = "ablation_tiny", "\n".join(caption_lines(figure.get_label(), figure.get_figwidth()))
    assert shown[".png"] - shown[".pdf"] == {title, caption}
    assert boxes[".pdf"].width == figure.get_figwidth()
    assert "commit~0123456789ab, data~feedc0de.}\n\\label{fig:ablation-tiny-quick-gains}" in latex.read_text()


@pytest.mark.slow
def test_a_pdf_is_written_again_only_if_the_picture_has_changed(printed, tmp_path):
    figure = Figure()
    files = save(figure, tmp_path / "curves")
    assert [file.name for file in files] == ["curves.png", "curves.pdf", "curves.tex"]
    files[1].write_bytes(b"kept")
    assert save(figure, tmp_path / "curves") == files
    assert files[1].read_bytes() == b"kept"
    figure.text(0.5, 0.5, "new")
    save(figure, tmp_path / "curves")
    assert files[1].read_bytes().startswith(b"%PDF")
    files[1].unlink()
    save(figure, tmp_path / "curves")
    assert files[1].exists()


def test_a_stem_may_have_a_dot_as_the_folder_of_a_data_set_may(tmp_path):
    points = pd.DataFrame({"x": [1]})
    files = save_with_points(Figure(), points, tmp_path / "cam_birds.v2")
    assert [file.name for file in files] == [f"cam_birds.v2.{ending}" for ending in ("png", "pdf", "tex", "csv")]


def test_the_lowest_panel_of_every_column_has_the_numbers():
    figure = Figure()
    axes = panels(figure, 5)
    assert [axis.get_subplotspec().rowspan.start for axis in axes] == [0, 0, 0, 1, 1]
    assert [axis.xaxis.get_tick_params()["labelbottom"] for axis in axes] == [False, False, True, True, True]
    assert [axis for axis in figure.axes if axis.get_visible()] == axes
    rows = [axis.get_subplotspec().rowspan.start for axis in panels(Figure(), 4)]
    assert rows == [0, 0, 1, 1]  # and none of them is alone in its row


@pytest.mark.slow
def test_a_legend_of_many_arms_is_whole(painted):
    levels = tables_of(lambda *_: 70.0, tuple(f"arm {number}" for number in range(41)), 1)
    figure = plot_curves("tiny", curves_of(levels), levels)
    figure.draw_without_rendering()
    (legend,) = figure.subfigs[0].legends
    low, high = legend.get_window_extent().intervaly
    assert 0 <= low < high <= figure.bbox.height


def test_the_first_arms_are_told_apart_without_colours(levels):
    """In grey the colours of the baseline and of the first arm are alike."""
    axis = plot_curves("ablation_tiny", curve_points(range(30), lambda epoch, seed: epoch + seed), levels).axes[0]
    marks = [(line.get_marker(), line.get_markevery()) for line in axis.lines]
    assert marks == [("o", (0, 4)), ("s", (1, 4)), ("D", (2, 4))]  # each on points of its own


def test_no_line_of_a_caption_parts_a_number_from_what_it_is_of():
    caption = "Bars are intervals of 95 % over K = 6 runs, p < 0.05, of 9 epochs, seed 0, commit a1. " * 20
    for width in np.arange(1.0, 9.0, 0.1):
        lines = caption_lines(caption, float(width))
        assert " ".join(lines) == caption.strip()
        assert not any(line.startswith(("%", "=", "<", "0", "6", "runs", "epochs", "a1")) for line in lines)


def test_no_panel_cuts_a_curve_that_is_higher_than_those_of_the_first(levels):
    points = pd.DataFrame(
        {"factor.mixer": mixer, "arm": "baseline", "seed": 0, "masked": share, "accuracy": top - share / 10}
        for mixer, top in (("cutmix", 15.0), ("saliencymix", 60.0))
        for share in (0.0, 50.0, 100.0)
    )
    chances = {level.name: [10.0] for level in levels}
    figure = plot_occlusion("tiny", points, levels, "", strip=[(0.0, torch.zeros(3, 16, 12))], chances=chances)
    bottom, top = figure.axes[-1].get_ylim()
    assert bottom == 0
    assert top > 60


def test_a_panel_without_any_run_says_so(levels):
    figure = plot_curves("tiny", curves_of(levels[:1]), levels)
    assert [[text.get_text() for text in axis.texts] for axis in figure.axes] == [[], ["no value"]]


def test_a_long_caption_makes_a_figure_higher_and_its_panels_no_lower(levels):
    points = pd.DataFrame(itertools.product((-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0), ARMS), None, ["first", "second", "arm"])
    points = points.assign(loss=1.0 + points["first"] ** 2, **{"factor.mixer": "cutmix"})
    short, long = (plot_plane("tiny", points, levels[:1], "A caption. " * times).subfigs[0] for times in (1, 90))
    assert long.bbox.height == pytest.approx(short.bbox.height)


@pytest.mark.slow
def test_planes_of_many_arms_are_in_several_rows_whose_lowest_have_numbers():
    arms = tuple(f"arm {number}" for number in range(7))
    points = pd.DataFrame(itertools.product((-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0), arms), None, ["first", "second", "arm"])
    levels, points = tables_of(lambda *_: 70.0, arms, 1, {}), points.assign(loss=1.0 + points["first"] ** 2)
    axes = plot_plane("tiny", points, levels, "").axes[:8]
    assert [axis.get_title(loc="left") for axis in axes if axis.get_visible()] == list(arms)
    numbered = [axis.xaxis.get_tick_params()["labelbottom"] for axis in axes if axis.get_visible()]
    assert numbered == [*[False] * 3, *[True] * 4]
