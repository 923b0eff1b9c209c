"""One table as terminal text, Markdown, LaTeX and HTML."""

import functools
import io
import itertools
import math
import os
import re
from contextlib import redirect_stdout
from dataclasses import replace

import pandas as pd
import pytest

from analysis.records.published import PublishedNumber
from analysis.statistics.sequential import e_value
from analysis.statistics.tables import level_tables
from analysis.words.cells import cells, columns_of_words, p_text, paper_cells, power_cells, tidy
from analysis.words.latex import latex
from analysis.words.line_breaks import wrapped
from analysis.words.rendering import (
    grid,
    html_grid,
    html_page,
    markdown,
    markdown_grid,
    terminal_text,
)
from tests.analysis.pages import Page
from tests.analysis.planned import VALUE, make_plan, planned_runs, tables_of

AWKWARD = r"<b>100% & a_b | ${x}^2~\c#"


@functools.cache
def study(arms=("baseline", "+ lam", "+ l_s"), printed=()):
    """Return a study with two levels of a factor; in both, one arm has a failed cell and one a missing cell.

    Every study is built once for all tests, which must not change it.
    """
    plan = make_plan(arms=arms, factors={"mixer": ("cutmix", "saliencymix")})
    runs = planned_runs(plan, lambda arm, seed: 78.0 + seed / 4 + arms.index(arm))
    runs = runs.assign(**{"metric.test_top1_last": 76.0 + runs["seed"], "metric.test_top1_best": 80.0})
    failed = ["failed", "RuntimeError: out of memory", math.nan]
    runs.loc[runs["key"] == plan["trials"][3]["key"], ["status", "error", VALUE]] = failed
    gone = (runs["arm"] == arms[2]) & (runs["factor.mixer"] == "saliencymix")
    runs.loc[gone, ["status", VALUE]] = ["pending", math.nan]
    published = {cell: PublishedNumber(value, "median10", "SUMix Table 6") for cell, value in printed}
    return level_tables(runs, plan, published=published or None)


def test_cells_by_hand():
    shown = cells(study()[0])
    assert list(shown.columns) == ["arm", "n", "mean ± sd", "gain", "95 % interval", "p", "p (family)", "verdict"]
    assert shown.iloc[0].tolist() == ["baseline", "3", "78.25 ± 0.25", "–", "–", "–", "–", ""]
    assert shown.iloc[1].tolist()[:4] == ["+ lam", "2 (1 failed)", "79.38 ± 0.18", "+1.00"]
    assert shown.iloc[2].tolist()[3:7] == ["+2.00", "–", "0.2500", "0.5000"]
    assert [p_text(p) for p in (math.nan, 9e-5, 1e-4, 0.0078125)] == ["–", "< 0.0001", "0.0001", "0.0078"]
    assert cells(study()[1]).iloc[2].tolist()[1:3] == ["0 (3 pending)", "pending"]


def test_seeds_until_decided_show_their_evidence_and_are_never_too_few():
    values = {(arm, seed): 70.0 + (arm == "+ lam") for arm in ("baseline", "+ lam") for seed in range(4)}
    del values["+ lam", 3]  # it stopped
    (level,) = tables_of(values, ("baseline", "+ lam"), 4, {}, sequential={"budget": 9})
    e = f"{e_value([1.0] * 3):.2f}"
    assert cells(level).loc["+ lam", "gain":"e (family)"].tolist() == ["+1.00", "–", e, e]
    assert not re.search("few seeds|power|differ in n", terminal_text("tiny", [level]))


def test_a_line_ends_at_a_space_or_within_a_word_that_must_fit():
    assert wrapped("a by-seed word", 7) == ["a", "by-seed", "word"]
    assert [wrapped("whole", 3, whole_words=whole) for whole in (False, True)] == [["who", "le"], ["whole"]]


def test_one_seed_shows_a_dash_for_its_spread_and_plans_nothing():
    (level,) = tables_of(lambda arm, _: 70.0 + (arm == "+ lam"), ("baseline", "+ lam"), 1, {})
    assert cells(level).iloc[1].tolist()[2:5] == ["71.00 ± –", "+1.00", "–"]
    assert "1 seed cannot reach p < 0.05" in terminal_text("tiny", [level])
    assert "power" not in terminal_text("tiny", [level])
    plan = {"arm": "+ lam", "seeds so far": "1", "gain": "+1.00", "sd of the differences": "–"}
    plan |= {"P(beats baseline)": "–", "seeds needed": "2 to know its spread"}
    assert power_cells(level).to_dict("records") == [plan]


@pytest.mark.parametrize(("higher", "beats"), [(True, "0.25"), (False, "0.75"), (None, "–")])
def test_to_beat_is_to_be_better_by_the_metric(higher, beats):
    plan = make_plan(arms=("baseline", "+ lam", "+ l_s"), seeds=2, factors={})
    plan = {**plan, "metrics": [{**plan["metrics"][0], "higher_is_better": higher}], "against": {"+ l_s": "+ lam"}}
    plan["metrics"][0]["rules"] = ["median10"]
    values = dict(zip(itertools.product(plan["arms"], range(2)), (2.0, 4.0, 1.0, 3.0, 1.0, 3.0), strict=True))
    shown = power_cells(level_tables(planned_runs(plan, values), plan)[0])
    assert shown["P(beats its reference)"].tolist() == [beats, "–" if higher is None else "0.50"]


def test_terminal_text_prints_what_all_tables_share_once():
    text = terminal_text("ablation_tiny", study())
    assert text.count("cannot reach p < 0.05") == 1
    assert text.count("Seeds for 80 % power over 4 comparisons if the gains so far are real") == 2
    assert text.count("mixer = cutmix: top-1 accuracy") == 1
    assert text.count("mixer = saliencymix: top-1 accuracy") == 1
    assert text.count("RuntimeError: out of memory") == 1
    assert max(len(line) for line in text.splitlines()) <= 120
    assert "seeds needed" not in text
    assert "seeds needed" in terminal_text("ablation_tiny", study(), power=True)


def test_a_narrow_terminal_shows_every_column_in_lines_that_fit(monkeypatch):
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((80, 24)))
    text = terminal_text("ablation_tiny", tables_of(lambda *_: 70.0, against={"+ lam": "baseline", "+ l_s": "+ lam"}))
    assert max(map(len, text.splitlines())) <= 80
    heads = [line.split("  ") for line in text.splitlines() if line.startswith("arm ")]
    assert [[name.strip() for name in head if name] for head in heads] == [
        ["arm", "n", "mean ± sd", "against", "gain", "95 % interval", "p"],
        ["arm", "p (family)", "over baseline", "verdict"],
    ]


def test_columns_are_as_wide_as_the_letters_that_the_output_has():
    with io.TextIOWrapper(io.BytesIO(), "ascii") as output, redirect_stdout(output):
        head, _, _, line, _ = grid(cells(study()[0])).splitlines()
    assert [head.index(name) + len(name) for name in (" +/- sd", "gain")] == [
        line.index(cell) + len(cell) for cell in (" +/- 0.18", "+1.00")
    ]


def test_last_and_best_are_shown_on_request_with_a_warning():
    levels = [replace(level, extra=("test_top1_last", "test_top1_best")) for level in study()]
    assert cells(levels[0])[["last", "best"]].to_numpy().tolist() == [["77.00", "80.00"]] * 3
    text = terminal_text("ablation_tiny", levels)
    assert "chosen on the same data and so too good" in text
    assert "too good" not in terminal_text("ablation_tiny", study())


@pytest.mark.parametrize("value", [float("inf"), -1e200])
def test_a_run_that_has_diverged_is_in_no_mean(value):
    level = study()[0]
    last = level.runs["metric.test_top1_last"].where(level.runs["seed"] > 0, value)
    level = replace(level, runs=level.runs.assign(**{"metric.test_top1_last": last}), extra=("test_top1_last",))
    assert cells(level)["last"].tolist() == ["77.50"] * 3


def test_the_means_alone_in_the_layout_of_papers():
    shown = paper_cells(study())
    assert list(shown.columns) == ["", "baseline", "+ lam", "+ l_s"]
    assert shown.to_numpy().tolist() == [
        ["mixer = cutmix", "78.25 ± 0.25", "79.38 ± 0.18", "80.25 ± 0.25"],
        ["mixer = saliencymix", "78.25 ± 0.25", "79.25 ± 0.25", "pending"],
    ]
    assert paper_cells(tables_of(lambda *_: 70.0, factors={}))[""].tolist() == ["all"]
    lines = terminal_text("ablation_tiny", study(), wide=True).splitlines()
    assert [line.split()[-1] for line in lines[2:6]] == ["l_s", "------------", "0.25", "pending"]


def test_one_arm_alone_is_compared_with_nothing():
    text = terminal_text("tiny", tables_of(lambda *_: 70.0, ("baseline",), factors={}), power=True)
    assert "Nothing was compared: the baseline is the only arm." in text
    assert "seeds needed" not in text
    assert text.startswith("tiny\n\nTop-1 accuracy, %, median of the last 10 epochs\n\narm ")
    assert text.endswith("\nMean ± sd over seeds.\n")


def test_published_values_are_shown():
    shown = cells(study(printed=((("cutmix", "baseline"), 78.17), (("cutmix", "+ l_s"), 79.51)))[0])
    assert list(shown["paper"]) == ["78.17", "–", "79.51"]
    assert list(shown["ours − paper"]) == ["+0.08", "–", "+0.74"]
    assert list(shown["paper in our interval"]) == ["yes", "–", "no"]


def test_every_rendering_states_rule_n_epochs_and_commit():
    rule, *parts = "median of the last 10 epochs", "20 epochs", "n = 2 to 3", "0123456789ab", "cifar10, resnet20"
    for render in (markdown, latex, html_page, terminal_text):
        text = " ".join(render("ablation_tiny", study()).replace("~", " ").split())
        assert all(part in text for part in (rule, *parts, "2 (1 failed)")), render


def test_markdown_rows_have_one_cell_a_column():
    lines = markdown("a_study", study(("plain", AWKWARD, "c"))).splitlines()
    rows = [line.replace(r"\|", "") for line in lines if line.startswith("|")]
    assert len(rows) == 2 * (2 + 3)
    assert {row.count("|") for row in rows} == {9}


def test_a_long_name_takes_several_lines_and_leaves_the_other_columns_in_sight():
    long = "a name that goes on until nobody reads it any more"
    page = html_page("s", tables_of(lambda _, seed: 70.0 + seed, ("baseline", long), 2))
    assert f'<td class="text long-text">{long}</td>' in page
    assert '<td class="text">baseline</td>' in page


def test_every_rendering_aligns_words_to_the_left_and_numbers_to_the_right():
    numbers = {"gain": ["–", "+1.0"], "95 % interval": ["–", "[-1.0, +3.0]"], "p": ["< 0.0001", "–"], "n": ["3", ""]}
    words = {"arm": ["1e3", "2"], "question": ["here", "in general"], "against": ["", "1e3"], "inside": ["–", "yes"]}
    table = pd.DataFrame({**words, **numbers})
    assert columns_of_words(table) == [True] * len(words) + [False] * len(numbers)
    assert markdown_grid(table).splitlines()[1].count(":--") == len(words)
    assert re.findall('<th scope="col" class="text">(.*?)</th>', html_grid(table)) == list(words)
    levels = tables_of(lambda *_: 70.0, against={"+ lam": "baseline", "+ l_s": "+ lam"})
    shown = cells(levels[0])
    left = "".join("l" if name in ("arm", "against", "verdict") else "r" for name in shown)
    assert rf"\begin{{tabular}}[b]{{{left}}}" in latex("tiny", levels)
    assert html_grid(shown).count('class="text"') == left.count("l") * (1 + len(shown))


def test_html_cells_are_escaped_and_complete():
    levels = study(("plain", AWKWARD, "c"))
    assert Page(html_page("<script>", levels)).rows[:4] == [
        list(cells(levels[0]).columns),
        *cells(levels[0]).to_numpy().tolist(),
    ]
    assert "<script>" not in html_page("<script>", levels)


def test_csv_reads_back_with_full_precision():
    levels = study()
    back = pd.read_csv(io.StringIO(tidy(levels).to_csv(index=False)))
    assert list(back.columns[:3]) == ["factor.mixer", "arm", "n"]
    assert "against" not in back
    assert set(back["metric"]) == {"test_top1_median10"}
    assert len(back) == 6
    assert back["mean"].tolist()[:2] == levels[0].table["mean"].tolist()[:2]
    assert back["pending"].tolist() == [0, 0, 0, 0, 0, 3]
    assert set(back["rule"]) == {"top-1 accuracy, %, median of the last 10 epochs"}
    assert back["provenance"].str.contains("commit 0123456789ab").all()


def test_a_running_cell_is_shown_as_such():
    def change(runs):
        runs.loc[3:, "status"] = "running"
        return runs

    values = {("baseline", 0): 70.0, ("baseline", 1): 71.0, ("+ lam", 0): 71.0}
    (level,) = tables_of(values, seeds=2, factors={}, change=change)
    assert list(cells(level)["n"]) == ["2", "1 (1 running)", "0 (2 running)"]
    assert cells(level)["mean ± sd"].iloc[-1] == "running"
    assert "Running: '+ lam' seed 1; '+ l_s' seeds 0–1." in terminal_text("tiny", [level])
