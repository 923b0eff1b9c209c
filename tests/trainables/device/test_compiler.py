"""The compiler is imported once it is needed, and not before."""

import colorsys
import sys

import pytest
import torch

from tests.pins import require
from trainables.device.compiler import StandIn


def test_a_stand_in_is_replaced_once_it_lacks_something(monkeypatch):
    stand_in = StandIn("colorsys", rgb_to_hsv=lambda *colour: colour)
    monkeypatch.setitem(sys.modules, "colorsys", stand_in)
    assert not hasattr(stand_in, "__file__")
    assert stand_in.rgb_to_hsv(1, 0, 0) == (1, 0, 0)
    assert sys.modules["colorsys"] is stand_in
    assert stand_in.hsv_to_rgb(0, 1, 1) == colorsys.hsv_to_rgb(0, 1, 1)
    assert sys.modules["colorsys"] is not stand_in


@pytest.mark.slow
def test_the_compiler_has_what_its_stand_ins_give():
    from torch import _dynamo
    from torch._dynamo.utils import is_compile_supported

    def twice(number: int) -> int:
        return 2 * number

    holds = _dynamo.graph_break() is None and _dynamo.disable(twice, True, wrapping=False)(2) == 4
    require(holds and is_compile_supported("cpu"), "torch._dynamo", torch, "trainables/device/compiler.py")
