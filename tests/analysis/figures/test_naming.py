"""How figures name arms and tables: told apart, marked as controls, and broken between words."""

import itertools

import pandas as pd
import pytest
import torch

from analysis.cam import CamRow, plot_cam
from analysis.figures.naming import distinct, in_lines
from analysis.figures.plots import plot_curves, plot_gains
from analysis.learned_lambda import Strip, plot_strips
from analysis.loss_landscape import plot_plane
from tests.analysis.planned import curves_of, tables_of


def test_long_names_stay_apart_wherever_they_differ():
    parts = ("the learned lambda with the semantic", "the learned lambda with the uncertainty", "the learned one, the")
    ends = [f"{first} the learned lambda and its regulariser {last}" for first in "ab" for last in "cd"]
    middles = [f"{part} regulariser and all the rest of it" for part in parts]
    assert list(distinct([*ends, *middles, "a\nb", "a b", "_" * 99]).values()) == [
        *(f"{first} the learned l…regulariser {last}" for first in "ab" for last in "cd"),
        "the learne…semantic regularis…",
        "the learne…uncertainty regula…",
        "the learned one…the rest of it",
        "a b (1)",
        "a b (2)",
        f"\N{THIN SPACE}{'_' * 15}…{'_' * 14}",
    ]


def test_arms_of_long_names_are_shown_whole():
    """Legends cut what is longer than 30 letters in its middle, where arms may differ."""
    long = "the learned lambda with its uncertainty regulariser and all the rest of it"
    levels = tables_of(lambda *_: 70.0, ("baseline", long, "_arm"), controls=[long])
    names = [tick.get_text() for tick in plot_gains("tiny", levels).axes[0].get_yticklabels()]
    assert [name.replace("\n", " ") for name in names] == [f"{long} (control)", "\N{THIN SPACE}_arm"]
    assert max(len(line) for line in names[0].split("\n")) <= 20
    figure = plot_curves("tiny", curves_of(levels), levels)
    (legend,) = figure.subfigs[0].legends
    lines = "the learned lambda with its\nuncertainty regulariser and\nall the rest of it (control)"
    assert [text.get_text() for text in legend.get_texts()] == ["baseline", lines, "\N{THIN SPACE}_arm"]


def test_panels_of_tables_with_long_names_are_told_apart():
    """Titles are not cut in the middle of a word."""
    long = "a mixer of a name that is too long for the title"
    factors = {"mixer": (long, f"{long} 2"), "backbone": ("a network of a rather long name",)}
    levels = tables_of(lambda *_: 70.0, seeds=1, factors=factors)
    for figure in (plot_gains("tiny", levels), plot_curves("tiny", curves_of(levels), levels)):
        titles = [axis.get_title(loc="left") for axis in figure.axes]
        assert titles == [
            "mixer = a mixer of a name that is too\nlong for the title, backbone = a\nnetwork of a rather long name",
            "mixer = a mixer of a name that is too\nlong for the title 2, backbone = a\nnetwork of a rather long name",
        ]


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("", [""]),
        ("mixer = cutmix", ["mixer = cutmix"]),
        ("mixer = cutmix, net = resnet18", ["mixer = cutmix,", "net = resnet18"]),
        ("net = resnet18_of_timm_with_weights", ["net =", "resnet18_of_timm_with", "_weights"]),
        (f"a {'b ' * 60}c", ["a b b b b b b b b b b", "b b b b b…b b b b b b", "b b b b b b b b b c"]),
    ],
)
def test_a_title_is_broken_where_a_reader_would(name, lines):
    assert in_lines([name], 21)[name].split("\n") == lines


@pytest.mark.slow
def test_images_and_planes_say_which_arm_is_a_control():
    (level,) = tables_of(lambda *_: 70.0, ("baseline", "raw pass"), controls=["raw pass"])
    images, ones = torch.rand(2, 3, 16, 12), [[[1.0]], [[1.0]]]
    seen = {"own": ones, "mixed": (255 * images).byte().tolist(), "shares": [0.5, 0.5], "maps": [ones, ones]}
    seen |= {"classes": [[0, 1], [0, 1]], "confidence": [[60.0, 40.0], [60.0, 40.0]]}
    cams = [CamRow(f"cutmix, {arm}", arm, [0, 1], seen) for arm in level.arms]
    strips = [Strip(f"cutmix, {arm}", arm, images, ["cat", "dog"], []) for arm in level.arms]
    plane = pd.DataFrame(
        itertools.product((-1.0, 0.0, 1.0), (-1.0, 0.0, 1.0), level.arms), None, ["first", "second", "arm"]
    )
    plane = plane.assign(loss=1.0 + plane["first"] ** 2, **{"factor.mixer": "cutmix"})
    for name, figure in (
        ("cutmix, raw pass\n(control)", plot_cam("tiny", cams, level, images, ["cat", "dog"], "")),
        ("cutmix, raw pass\n(control)", plot_strips("tiny", strips, level, "")),
        ("raw pass (control)", plot_plane("tiny", plane, [level], "")),
    ):
        axes = figure.subfigs[0].axes
        said = [text.get_text() for axis in axes for text in axis.texts]
        said += [axis.get_title(where) for axis in axes for where in ("left", "center")]
        assert name in said
