"""A value that nothing can hold is refused in a sentence, wherever in a study, a search or the options it is given."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixlab import Arm, Choice, Float, Int, Options, Search, Study, add_one_in, factorial, leave_one_out
from mixlab.api import run
from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from tests.mixlab.spec.minimal import STUDY, Toy


class NoRepr:
    """An object that nobody can print."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class NoText(NoRepr):
    """One that a trainable or a function may be."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __call__(self, *_: Any) -> Any:
        return self


ITSELF: list[Any] = []
ITSELF.append(ITSELF)
PLAIN = {"nothing": None, "truth": True, "number": -1.5, "empty": "", "path": Path("x"), "set": {1, 2}}
STRANGE = {
    "digits": 10**5000,
    "beyond the largest float": -(10**400),
    "matrix": np.zeros((2, 2)),
    "matrix of torch": torch.zeros(2, 2),
    "row without numbers": torch.empty(2, device="meta"),
    "number without a value": torch.empty((), device="meta"),
    "rows": np.zeros(2, dtype=[("a", int)]),
    "objects": np.array([object(), 10**5000], dtype=object),
    "without a repr": NoRepr(),
    "several without a repr": (NoRepr(), {"x": NoRepr()}),
    "function without a repr": NoText(),
    "key without a repr": {NoRepr(): 1},
    "itself": ITSELF,
}
SEARCH = Search(study=STUDY, space={"x": Float(0, 1)}, budget=4, objective="rmse")


def trainable_with(name: str, value: Any) -> Toy:
    train = Toy()
    setattr(train, name, value)
    return train


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


@pytest.mark.parametrize("name", PLAIN | STRANGE)
def test_any_value_of_any_field_is_run_or_refused(name):
    for make in specs_with((PLAIN | STRANGE)[name]):
        with contextlib.suppress(BadInput):
            run(make(), Toy(), Options(check_only=True))


@pytest.mark.parametrize("strange", STRANGE)
def test_a_value_that_nothing_can_hold_is_refused_in_a_sentence_wherever_it_is_given(strange, tmp_path):
    """It is accepted only where a list of lists of numbers may be, which a matrix is."""
    value = STRANGE[strange]
    for field in fields(Options):
        with contextlib.suppress(BadInput):
            run(STUDY, Toy(), Options(**{"check_only": True, field.name: value}))
    with pytest.raises(BadInput):
        run(STUDY, value)
    if strange in ("itself", "key without a repr"):
        return
    for name in ("metrics", "metric", "numbers", "files", "prepared", "timed", "held_out", "presets", "parallel"):
        with pytest.raises(BadInput):
            complete(trainable_with(name, value))
    with pytest.raises(BadInput):
        SEARCH.check(complete(trainable_with("objectives", lambda config: value)))
    for call in (add_one_in, leave_one_out, factorial, Choice, partial(run, report=value), partial(run, console=value)):
        with contextlib.suppress(BadInput):
            call(value, value)
    for name in ("resolve", "lacking", "check"):
        with contextlib.suppress(BadInput):
            run(STUDY, trainable_with(name, lambda *_: value), Options(dry_run=True, storage=str(tmp_path)))
