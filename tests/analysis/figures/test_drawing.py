"""The looks of arms: each has a colour and a mark, by which all readers tell it from the others."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb
from numpy.typing import ArrayLike

from analysis.figures.drawing import BASELINE_COLOUR, PALETTE, arm_colour, arm_mark
from analysis.figures.plots import plot_curves, plot_two_lines
from analysis.occlusion import plot_occlusion
from analysis.robustness import plot_reliability
from tests.analysis.planned import tables_of


def test_a_hundred_and_nineteen_arms_look_different_and_seventeen_without_colours():
    marks = [(mark.get_marker(), mark.get_fillstyle()) for mark in map(arm_mark, range(120))]
    assert len(set(zip(map(arm_colour, range(120)), marks, strict=True))) == 120  # the arms and the baseline
    assert len(set(marks[:17])) == 17


# What is left of red, green and blue light without the green cones, and without the red ones (Machado et al., 2009).
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))
PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
TO_XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)


def lab_of(colour: str, cones: ArrayLike) -> np.ndarray:
    """Return a colour in CIELAB (3,), in which 2.3 is a difference that is just seen."""
    rgb = np.array(to_rgb(colour))
    light = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    x, y, z = np.cbrt(np.array(TO_XYZ) @ np.clip(np.array(cones) @ light, 0, 1) / WHITE)  # none of them is near black
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("cones", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["all", "no green", "no red"])
def test_colours_are_told_apart_without_green_or_red_cones(cones):
    assert lab_of("#ffffff", cones) == pytest.approx((100, 0, 0), abs=0.1)
    assert lab_of("#ff0000", np.eye(3)) == pytest.approx((53.24, 80.09, 67.20), abs=0.01)
    seen = [lab_of(colour, cones) for colour in (BASELINE_COLOUR, *PALETTE)]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 15


@pytest.mark.slow
def test_forty_arms_are_told_apart_and_legends_cover_no_line(painted):
    """The legends of panels lay over their curves."""
    levels = tables_of(lambda *_: 70.0, tuple(f"an arm of a long name {number}" for number in range(41)), 1, {})
    runs = pd.concat([levels[0].runs] * 2).assign(accuracy=50.0, predictions=99)
    points = runs.assign(epoch=runs.groupby("arm").cumcount() + 1)
    points = points.assign(**dict.fromkeys(("bin", "confidence", "masked", "x"), points["epoch"]), y=50.0, value=1.0)
    two, chances = pd.concat([points.assign(part=part) for part in "ab"]), {levels[0].name: [10.0]}
    figures = {
        "curves": plot_curves("tiny", points, levels),
        "one epoch": plot_curves("tiny", points[points["epoch"] == 1], levels),
        "two": plot_two_lines("tiny", two, levels, "", parts=("a", "b"), labels=("x", "y"), width=3),
        "reliability": plot_reliability("tiny", points, levels, ""),
        "occlusion": plot_occlusion("tiny", points, levels, "", strip=[(0.0, torch.zeros(3, 16, 12))], chances=chances),
    }
    for name, figure in figures.items():
        figure.draw_without_rendering()  # lays it out
        axis = figure.axes[-1]
        named = [line for line in axis.lines if not line.get_label().startswith("_")]
        looks = {(to_hex(line.get_color()), line.get_linestyle(), line.get_marker()) for line in named}
        assert len(looks) == len(named) == 41, name
        if legend := axis.get_legend():
            place = legend.get_window_extent()
            assert not place.overlaps(axis.get_window_extent()), name
            assert place.y0 >= 0, name
            assert place.x1 <= figure.bbox.width, name
