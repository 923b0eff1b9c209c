"""The figure of search time and error, from runs in a real store."""

import pandas as pd
import pytest

from analysis import search_time
from analysis.search_time import RULE, plot_search_time, search_points
from tests.analysis.planned import make_plan

METRIC = "metric.test_top1_error_median10"


def runs() -> pd.DataFrame:
    rows = [
        ("all images", "none", 0, 7200.0, 20.0, "done"),
        ("all images (10 epochs)", "none", 0, 1800.0, 22.0, "done"),
        ("CV t = 0.1", "cv", 0, 720.0, 21.0, "done"),
        ("CV t = 0.1", "cv", 1, 360.0, 23.0, "done"),
        ("CV t = 0.1", "cv", 2, None, None, "failed"),
    ]
    columns = ["arm", "config.subset.rule", "seed", "metric.search_seconds", METRIC, "status"]
    return pd.DataFrame(rows, columns=columns)


def test_every_finished_search_is_a_point_by_its_rule():
    points = search_points(runs(), "test_top1_error_median10")
    assert points["images"].tolist() == ["all images", "all images", "cv", "cv"]
    assert points["hours"].tolist() == [2.0, 0.5, 0.2, 0.1]
    assert points.groupby("images")["value"].mean().tolist() == [21.0, 22.0]


def test_the_hours_are_written_as_numbers():
    """Matplotlib itself would write the ticks of a logarithmic axis as formulas."""
    figure = plot_search_time("any", search_points(runs(), "test_top1_error_median10"), "top-1 error, %", "")
    figure.draw_without_rendering()
    (axis,) = figure.subfigs[0].axes if figure.subfigs else figure.axes
    assert [label.get_text() for label in axis.get_xticklabels(which="both")] == ["0.1", "0.2", "0.3", "0.5", "1", "2"]


def without(runs: pd.DataFrame, rows: slice, *columns: str) -> pd.DataFrame:
    found = runs.copy()
    found.loc[rows, list(columns)] = None
    return found


@pytest.mark.parametrize(
    "lacking",
    [
        runs().drop(columns="metric.search_seconds"),
        runs().drop(columns=METRIC),
        runs().assign(status="failed"),
        without(without(runs(), slice(0, 1), METRIC), slice(2, 3), "metric.search_seconds"),  # no run has both
    ],
)
def test_a_study_that_searches_nothing_is_refused(lacking):
    with pytest.raises(ValueError, match="no run that is done logged 'test_top1_error_median10' and search_seconds"):
        search_points(lacking, "test_top1_error_median10")


@pytest.mark.parametrize("searched", [runs().drop(columns=RULE), without(runs(), slice(2, 3), RULE)])
def test_a_search_without_a_rule_has_used_all_images(searched):
    """The trainable of such a search may have no key for the rule."""
    points = search_points(searched, "test_top1_error_median10")
    assert points["images"].tolist() == ["all images"] * 4
    assert points["value"].tolist() == [20.0, 22.0, 21.0, 23.0]


def test_it_draws_and_writes_the_points(monkeypatch, tmp_path, capsys):
    plan = make_plan(arms=("1", "1e3", "0.125"), factors={}) | {"metric": "test_top1_error_median10"}
    named = runs().replace({"all images": "1", "all images (10 epochs)": "1e3", "CV t = 0.1": "0.125"})
    named = named.assign(epochs=20, commit="c0ffee", dirty=False, patch="none", data="feed", hardware="a GPU", error="")
    monkeypatch.setattr("analysis.command.read_study", lambda _: (plan, named))
    captions = []
    monkeypatch.setattr(
        search_time, "plot_search_time", lambda *given: captions.append(given[-1]) or plot_search_time(*given)
    )
    assert search_time.main(["kimage_nas", "--out", str(tmp_path)]) == 0
    assert captions[0].endswith("Trained on a GPU. 20 epochs, n = 1 to 2, seeds 0–2, commit c0ffee, data feed.")
    assert {file.suffix for file in tmp_path.glob("search_time.*")} == {".csv", ".pdf", ".png", ".tex"}
    assert len(pd.read_csv(tmp_path / "search_time.csv")) == 4
    printed = capsys.readouterr().out
    assert "value" not in printed.splitlines()[0]  # but the name of the metric
    rows = [line.split() for line in printed.splitlines()]
    assert {"1", "1e3", "0.125"} <= {name for row in rows for name in row[-3:-2]}  # names, not numbers
    assert ["cv", "0.125", "0.1500"] in [row[:3] for row in rows]  # the mean hours of two searches
