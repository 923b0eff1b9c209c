"""Whatever a study says is either run or refused in one sentence, before anything starts."""

import contextlib
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from enum import Enum, IntEnum
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixlab import Arm, Choice, Float, Int, Options, Search, Study, add_one_in, factorial, leave_one_out, run
from mixlab.configure import configure
from mixlab.errors import BadInput
from mixlab.spec.study_plan import study_plan
from tests.endings import refused
from tests.mixlab.spec.minimal import STUDY, TRAIN, Toy

X, Y = {"lr": 1}, {"lr": 2}
SEARCH = Search(study=STUDY, space={"x": Float(0, 1)}, budget=4, objective="rmse")


def pair(first: str, second: str) -> dict[str, Any]:
    """Return the change of a study to two arms with these names."""
    return {"arms": (Arm(first, {}), Arm(second, {"lr": 1.0}))}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"name": ""}, ["''", "name"]),
        ({"name": 7}, ["7", "text"]),
        *(({"name": name}, [repr(name), "slash"]) for name in ("../up", "..", " a", "a ", "a\u200b", "a\\b", "a:b")),
        ({"name": "ä" * 100 + "x"}, ["201", "200"]),
        ({"base": [1]}, ["[1]", "mapping"]),
        ({"base": {1: 2}}, ["the base of a study has the key 1:", "text"]),
        *(({"base": {key: 2}}, [repr(key), "MLflow records 1 to 250"]) for key in ("", "x" * 251, "lr%", "a//b")),
        ({"base": {"lr": {"x": b"a"}}}, ["lr", "{'x': b'a'}", "None or a list of those"]),
        ({"base": {"lr": {1: "a"}}}, ["lr", "{1: 'a'}"]),
        ({"arms": ()}, ["arms", "at least 1"]),
        ({"arms": b"ab"}, ["arms", "b'ab'", "a list or tuple"]),
        ({"arms": ("base",)}, ["'base'", "Arm"]),
        ({"arms": (Arm("a", {}), Arm("b", X, against="c"))}, ["'c'", "'b'"]),
        ({"arms": (Arm("a", {}), Arm("b", X, against="b"))}, ["'b' is compared with itself: name another arm"]),
        ({"arms": (Arm("a", {}, against="b"), Arm("b", X))}, ["'a'", "'b'", "baseline"]),
        ({"arms": (Arm("a", {}), Arm("b", X, "c"), Arm("c", Y, "b"))}, ["'b'", "itself, by way of 'c'"]),
        ({"arms": (Arm("a", {}), Arm("b", X, control="no"))}, ["'b'", "'no'", "True or False"]),
        ({"arms": (Arm("a", {}), Arm("b", X, signs={"x": 5}))}, ["'b'", "{'x': 5}", "1 or -1"]),
        ({"arms": (*factorial([("x", X)]), *factorial([("y", Y)], "none"))}, ["'baseline'", "'none'", "two factorial"]),
        ({"arms": (Arm("a", {}), Arm("b", {}))}, ["'a'", "'b'", "same configuration"]),
        ({"arms": (Arm("a", {}), Arm("b", {1: 2}))}, ["the arm 'b' has the key 1:"]),
        (pair(" ", "b"), ["an arm", "' '"]),
        (pair("a", "a"), ["two arms", "'a'", "same name"]),
        ({"factors": {"x": ("1 · 2", "1"), "y": ("3", "2 · 3")}}, ["two cells of toy", "'1 · 2 · 3 · a'"]),
        *((pair(*two), [*map(repr, two), "look the same"]) for two in (("a", "a "), ("two words", "two\nwords"))),
        ({"factors": {"x": ("1 ", "1")}}, ["'1 '", "'1'", "look the same"]),
        ({"factors": {"mixer": "cutmix"}}, ["'cutmix'", '("cutmix",)']),
        ({"factors": {"mixer": ()}}, ["mixer", "at least 1", "(0.1, 0.2)"]),
        ({"factors": {"": {"one": {"lr": 1}}}}, ["a factor", "''"]),
        ({"factors": {"mixer": ("", "cutmix")}}, ["mixer", "''", "a name in text"]),
        ({"factors": {"mixer": (0.1, "0.1")}}, ["mixer", "'0.1'"]),
        ({"factors": ("mixer",)}, ["('mixer',)", "mapping"]),
        ({"factors": {"x": {"one": 5}}}, ["the level 'one' of 'x'", "a mapping", "got 5"]),
        ({"factors": {"x": {"one": {"x": 1}, "two": {"x": 1}}}}, ["'one'", "'two'", "the same"]),
        ({"factors": {"x": (1, True)}}, ["'1'", "'True'", "the same"]),
        ({"seeds": []}, ["0", "at least 1"]),
        ({"seeds": [3, 1, 0, 1, 0]}, ["the seed 1 twice"]),
        *(({"seeds": seeds}, [repr(seeds), "at most 1000 whole"]) for seeds in (["a"], "", {0: 1}, range(1001))),
        ({"seeds": [True]}, ["True", "whole numbers"]),
        ({"seeds": b"01"}, ["b'01'", "whole numbers"]),
        ({"seeds": 5}, ["5", "range(6)"]),
        ({"seeds": itertools.count()}, ["count(", "at most 1000 whole"]),
        ({"seeds": (0, 2**63)}, ["9223372036854775808", "64 bits"]),
        ({"seeds": (0, -(2**63) - 1)}, ["-9223372036854775809", "64 bits"]),
        ({"factors": {f"k{n}": range(10) for n in range(9)}}, ["'toy' has 4000000000 trials", "at most 100000"]),
        ({"factors": {"x": range(51)}, "seeds": range(1000)}, ["'toy' has 102000 trials"]),
        ({"metric": "accuracy"}, ["'accuracy'", "rmse"]),
        ({"metric": "rmse_median10"}, ["'rmse_median10'", "'rmse_last'"]),
        ({"metric": 3}, ["metric of the study", "3"]),
        ({"family": "tables"}, ["'tables'", "'table'"]),
        *(({"delta": delta}, ["delta", repr(delta)]) for delta in (0, True, float("inf"), "1")),
        ({"sequential": True, "arms": (Arm("a", {}),)}, ["until decided", "'a' is the only arm"]),
        ({"sequential": "no"}, ["'no'", "True or False"]),
        ({"presets": {"": {}}}, ["a preset", "''"]),
        ({"presets": {"smoke": 5}}, ["'smoke'", "5", "mapping"]),
        *(({"presets": {"smoke": {"seeds": n}}}, ["'smoke'", f"at least 1, got {n!r}"]) for n in ("3", 0, True)),
        ({"settings": {"a": 1}}, ["{'a': 1}", "function"]),
        ({"settings": lambda config: None}, ["'a'", "None", "mapping"]),
        ({"settings": lambda config: {}[config["lr"]]}, ["no entry for 'a'", "0.1"]),
        ({"settings": lambda config: {"lr": config["lr"] / 0}}, ["'a'", "ZeroDivisionError", "_input.py, line"]),
        ({"settings": lambda: {}}, ["'a'", "TypeError", "0 positional arguments"]),
        ({"fixed": [1]}, ["what is fixed in a study", "[1]", "mapping"]),
        ({"tuned": {"z": {}}}, ["'z'", "no cell"]),
        ({"tuned": 3}, ["tuned of the study 'toy' must be a mapping or None, got 3"]),
        ({"tuned": {"a": 3}}, ["the tuned point of 'a'"]),
    ],
)
def test_what_cannot_be_run_is_a_sentence(changes, parts):
    with refused(*parts):
        replace(STUDY, **changes).trials(TRAIN)


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


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "ä" * 100},
        {"base": {"x" * 250: 2}},
        {"base": {"lr": [-(2**63), 2**63 - 1, float("nan")], "x": {"y": ("é", None)}}},
        {"seeds": (-(2**63), 2**63 - 1)},
        {"factors": {"x": range(50)}, "seeds": range(1000)},
        {"delta": 1},
    ],
)
def test_what_lies_within_every_limit_is_a_study(changes):
    replace(STUDY, **changes).check(TRAIN)


@pytest.mark.parametrize("seeds", [np.arange(2), [np.int64(0), np.int32(1)], iter([0, 1]), {0: 1, 1: 1}.keys()])
def test_any_iterable_of_whole_numbers_is_seeds(seeds):
    trials = replace(STUDY, seeds=seeds).trials(TRAIN)
    assert [(trial.seed, type(trial.seed)) for trial in trials] == [(0, int), (1, int)] * 2


class Kind(str, Enum):  # noqa: UP042 - a StrEnum is shown by its value
    PLAIN = "plain"


class Size(IntEnum):
    SMALL = 3


class Rate(float, Enum):
    LOW = 0.5


def test_values_of_numpy_torch_and_enumerations_become_plain_python():
    """Otherwise a table would have the level ``Kind.PLAIN``, with the key of ``plain``."""
    given = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": [np.float64(1.5)], "e": np.ones((2, 2))}
    given |= {"f": torch.zeros(1, 2), "rate": Rate.LOW, "sizes": [Size.SMALL]}
    plain = {"a": 0.5, "b": 3, "c": True, "d": [1.5], "e": [[1.0, 1.0], [1.0, 1.0]]}
    plain |= {"f": [[0.0, 0.0]], "rate": 0.5, "sizes": [3]}
    study = replace(STUDY.with_base(**given), factors={"kind": (Kind.PLAIN, Size.SMALL)})
    assert list(study.levels("kind")) == ["plain", "3"]
    trial = study.trials(TRAIN)[0]
    assert repr(trial.config) == repr({"lr": 0.1, **plain, "kind": "plain"})  # a NumPy type would show its name
    assert trial.key == STUDY.with_base(**plain, kind="plain").trials(TRAIN)[0].key


def test_numbers_of_numpy_are_numbers_in_every_field():
    arms = (Arm("a", {}), Arm("b", {"lr": 0.2}, control=np.bool_(True), signs={"x": np.int64(1)}))
    given = {"delta": np.float32(0.5), "sequential": np.bool_(False), "presets": {"smoke": {"seeds": np.int64(3)}}}
    study = replace(STUDY, arms=arms, factors={"rate": np.array([0.25, 0.5]), "n": [np.array(1)]}, **given)
    plan = study_plan(study, study.trials(TRAIN), "paper", TRAIN)
    assert (plan["delta"], plan["controls"]) == (0.5, ["b"])
    assert {tuple(trial["levels"].values()) for trial in plan["trials"]} == {("0.25", "1"), ("0.5", "1")}
    assert json.loads(json.dumps(plan)) == plan
    assert len(configure(study, TRAIN, Options(preset="smoke")).seeds) == 3
    given = {"seeds": np.int64(2), "cpus_per_trial": np.float32(2), "quiet": np.bool_(True)}
    options = Options(**given, changes={"n": np.array([1])})
    options.check()
    assert configure(study, TRAIN, options).base["n"] == [1]
    search = {"budget": np.int64(4), "budgets": {"smoke": np.int64(2)}, "concurrent": np.int64(1)}
    Search(study=STUDY, space={"x": Float(0, 1)}, **search).completed(TRAIN).check(TRAIN)


def test_hard_names_are_names():
    hard = ("it's 5%", "cost $5 or $6_", "[bold]", "two\nlines", 'say "so"', "a · b", "{x}", "\\alpha", "#1 & Größe")
    study = replace(STUDY, arms=[Arm("a", {}), *(Arm(name, {"lr": n}) for n, name in enumerate(hard))])
    assert {trial.arm for trial in study.trials(TRAIN)} == {"a", *hard}


@pytest.mark.parametrize("design", [add_one_in, leave_one_out, factorial])
def test_the_terms_of_a_design_are_checked(design):
    assert design({"x": {"lr": 1}, "y": {"b": 2}}) == design((("x", {"lr": 1}), ("y", {"b": 2})))
    for terms, part in [
        (("x", {"lr": 1}), "'x'"),
        ((("x", "lr"),), "('x', 'lr')"),
        (np.array(5), "got 5"),
        (((5, {}),), "a name in text, got 5"),
        ((("x", {}), ("x", {"lr": 1})), "the same name 'x'"),
    ]:
        with refused(part):
            design(terms)


def test_a_design_is_whole_and_other_arms_are_no_part_of_it():
    """An arm besides the design's leaves the figure of the effects; without one of its arms there is no design."""
    crossed = factorial([("x", {"x": 1}), ("y", {"y": 1})])

    def design(*arms: Arm) -> Any:
        study = replace(STUDY, arms=arms)
        return study_plan(study, study.trials(TRAIN), "paper", TRAIN)["design"]

    whole = design(*crossed)
    assert (whole["terms"], list(whole["signs"])) == (["x", "y"], ["baseline", "+ x", "+ y", "+ x + y"])
    assert design(Arm("first", {"lr": 3}), *crossed, Arm("last", {"lr": 4})) == whole
    assert design(*crossed[:3]) is None
    assert design(*crossed[:3], replace(crossed[3], control=True)) is None
    assert design(*STUDY.arms) is None


def test_plans_differ_by_what_they_contain_but_seeds():
    assert replace(STUDY, seeds=range(9)).identity == STUDY.identity
    assert replace(STUDY, arms=STUDY.arms[:1]).identity != STUDY.identity
    assert STUDY.with_levels("mixer", ["a", "b"]).identity != STUDY.with_levels("mixer", ["a"]).identity
    arms = Arm("a", {}), Arm("b", {"x": 1}), Arm("c", {"x": 2})
    three = replace(STUDY, arms=arms)
    assert replace(three, arms=(*arms[:2], replace(arms[2], against="a"))).identity == three.identity
    assert replace(three, arms=(*arms[:2], replace(arms[2], against="b"))).identity != three.identity
    assert replace(three, arms=(arms[1], arms[0], arms[2])).identity != three.identity
