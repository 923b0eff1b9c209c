"""Figures show every letter of a name, or its number."""

import warnings

import pytest
from matplotlib.figure import Figure

from analysis.figures import letters
from analysis.figures.captioned import save
from analysis.figures.forest import plot_forest
from analysis.figures.naming import distinct, plain
from analysis.figures.plots import plot_curves, plot_gains, plot_wealth
from analysis.statistics.tables import level_tables
from analysis.words.page import png
from tests.analysis.figures.reading import texts
from tests.analysis.planned import make_plan, planned_runs, tables_of

HARD = ("it's 5%", "cost $5 or $6_", "[1] a", "two\nlines", "_hidden", "a, b", "x" * 300, "both ' \"", "é β λ")


@pytest.fixture
def installed(monkeypatch):
    """Return a function that installs fonts of other letters than the usual one's, and no more."""

    def install(*names):
        monkeypatch.setattr(letters, "OTHERS", names)
        letters.families.cache_clear()
        letters.known_letters.cache_clear()

    yield install
    install()


def test_letters_that_every_font_lacks_are_shown_by_their_numbers(installed):
    installed()
    assert plain("混合 é λ") == "U+6DF7U+5408 é λ"
    twins = distinct([f"{'混' * 9}{letter}{'合' * 9}" for letter in "甲乙"])
    assert len(set(twins.values())) == 2
    assert all(name.isascii() for shown in twins.values() for name in shown.split("…"))


def test_a_wide_letter_counts_as_two(installed):
    installed("STIXGeneral")
    clock = "\u231a"
    assert plain(clock * 20) == f"{clock * 7}…{clock * 7}"


def test_letters_that_another_installed_font_has_are_drawn_from_it(installed, tmp_path):
    clock = "\u231a"  # in STIXGeneral, which comes with matplotlib
    assert plain(clock) == "U+231A"
    installed("no such font", "STIXGeneral", "cmsy10")
    assert plain(f"{clock} é 混") == f"{clock} é U+6DF7"
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # matplotlib warns of a letter that it draws as a box
        levels = tables_of(lambda arm, seed: 70.0 + seed, ("none", f"{clock} arm"), 2, {"mixer": (clock, "y")})
        figure = plot_forest(f"{clock} study", levels)
        save(figure, tmp_path / "forest")
    assert f"{clock} arm against none" in texts(figure)


@pytest.fixture
def named() -> list[Figure]:
    """Return the figures of a study whose names hold every kind of letter."""
    factors = {"[1] $a": ("5% of _b", "x" * 300)}
    plan = make_plan("x" * 300, ("base $x$", *HARD), 3, factors, sequential={"budget": 9})
    runs = planned_runs(plan, lambda arm, seed: 70.0 + seed + plan["arms"].index(arm))
    levels = level_tables(runs, plan)
    curves, name = runs.assign(epoch=1, value=10.0), plan["study"]
    figures = plot_forest(name, levels), plot_wealth(name, levels), plot_gains(name, levels)
    return [each for each in (*figures, plot_curves(name, curves, levels)) if each is not None]


@pytest.mark.slow
def test_every_figure_bears_any_name(named):
    assert len(named) == 4
    for figure in named:
        shown = texts(figure)
        for name in HARD:
            assert plain(name) in shown


@pytest.mark.slow
def test_any_name_can_be_painted(named, painted):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a font need not have every letter
        for figure in named[:2]:
            figure.set_layout_engine(None)  # it takes as long as the rest
            assert png(figure).startswith(b"\x89PNG")
