"""A value of another kind is run or refused in a sentence, wherever in a study or a search it is given."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixlab import Arm, Choice, Float, Int, Options, Search, Study, run
from mixlab.errors import BadInput
from tests.mixlab.spec.minimal import STUDY, Toy

SEARCH = Search(study=STUDY, space={"x": Float(0, 1)}, budget=4, objective="rmse")


def specs_with(value: Any) -> Iterator[Callable[[], Any]]:
    """Yield what makes a study or search with ``value`` in each of its fields, and in each part of them."""
    for held in (value, [value], {"lr": value}):
        for field in fields(Study):
            yield partial(replace, STUDY, **{field.name: held})
        for field in fields(Search):
            yield partial(replace, SEARCH, **{field.name: held})
        for field in fields(Arm):
            arm = {"name": "b", "changes": {"lr": 1}, field.name: held}
            yield lambda arm=arm: replace(STUDY, arms=(Arm("a", {}), Arm(**arm)))
        for kind, name in itertools.product((Float, Int), ("low", "high", "log", "step", "when")):
            bounds = {"low": 0, "high": 4, name: held}
            yield lambda kind=kind, bounds=bounds: replace(SEARCH, space={"x": kind(**bounds)})
        yield lambda held=held: replace(SEARCH, space={"x": Choice(held, 1)})


@pytest.mark.parametrize("value", [None, True, -1.5, "", Path("x"), {1, 2}, np.zeros((2, 2))], ids=str)
def test_any_value_of_any_field_is_run_or_refused(value):
    for make in specs_with(value):
        with contextlib.suppress(BadInput):
            run(make(), Toy(), Options(check_only=True))
