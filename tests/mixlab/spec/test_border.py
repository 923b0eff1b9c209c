"""Whatever a study says is either run or refused in one sentence, before anything starts."""

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixlab import Arm, Metric, Options, Study
from mixlab.api import configure
from mixlab.errors import BadInput
from mixlab.spec.trainable import complete


class Toy:
    """A trainable that takes any configuration."""

    metrics = (Metric("rmse", "kg", higher_is_better=False, rules=("last",)),)

    def __call__(self) -> None:
        raise NotImplementedError


TRAIN = complete(Toy())
STUDY = Study(name="toy", base={"lr": 0.1}, arms=(Arm("a", {}), Arm("b", {"lr": 0.2})), seeds=range(2))


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"name": ""}, ["''", "name"]),
        ({"name": "../../up"}, ["'../../up'", "slash"]),
        ({"name": ".."}, ["'..'"]),
        ({"name": 7}, ["7", "text"]),
        ({"name": "x" * 300}, ["300", "200"]),
        ({"base": [1]}, ["[1]", "mapping"]),
        ({"base": {"lr": {1, 2}}}, ["lr", "{1, 2}"]),
        ({"base": {"lr": Path("x")}}, ["lr", "Path"]),
        ({"base": {1: 2}}, ["1", "text"]),
        ({"base": {"lr%": 2}}, ["'lr%'", "MLflow"]),
        ({"arms": (Arm("a", {}), Arm("b", {"x/../y": 1}))}, ["'x/../y'", "MLflow"]),
        ({"arms": ()}, ["arms", "at least 1"]),
        ({"arms": "base"}, ["'base'", "Arm("]),
        ({"arms": ("base",)}, ["'base'", "Arm"]),
        ({"arms": (Arm("a", {}), Arm("a", {"lr": 1}))}, ["'a'", "same name"]),
        ({"arms": (Arm(5, {}),)}, ["5", "text"]),  # type: ignore[arg-type]
        ({"arms": (Arm(" ", {}),)}, ["' '", "name"]),
        ({"arms": (Arm("a\0", {}),)}, ["'a\\x00'", "control"]),
        ({"arms": (Arm("a\rb", {}),)}, ["'a\\rb'", "control"]),
        ({"arms": (Arm("\udcff", {}),)}, ["'\\udcff'", "UTF-8"]),
        ({"arms": (Arm("a", {}), Arm("b", {"lr": 1}, against="c"))}, ["'c'", "'b'"]),
        ({"arms": (Arm("a", {}), Arm("b", {"lr": 1}, against="b"))}, ["'b'", "itself"]),
        ({"arms": (Arm("a", {}, against="b"), Arm("b", {"lr": 1}))}, ["'a'", "'b'", "baseline"]),
        ({"factors": {"mixer": "cutmix"}}, ["'cutmix'", '("cutmix",)']),
        ({"factors": {"mixer": ()}}, ["mixer", "at least 1"]),
        ({"factors": {"mixer": {}}}, ["mixer", "at least 1"]),
        ({"factors": {"mixer": (0.1, "0.1")}}, ["mixer", "'0.1'"]),
        ({"factors": ("mixer",)}, ["('mixer',)", "mapping"]),
        ({"seeds": []}, ["0", "at least 1"]),
        ({"seeds": [0, 0, 1]}, ["0", "twice"]),
        ({"seeds": ["a"]}, ["['a']", "whole numbers"]),
        ({"seeds": [True]}, ["True", "whole numbers"]),
        ({"seeds": [0.5]}, ["0.5", "whole numbers"]),
        ({"seeds": 5}, ["5", "range(6)"]),
        ({"seeds": "012"}, ["'012'", "whole numbers"]),
        ({"seeds": range(20240607)}, ["20240607", "1000"]),
        ({"metric": "accuracy"}, ["'accuracy'", "rmse"]),
        ({"metric": "rmse_median10"}, ["'rmse_median10'", "'rmse_last'"]),
        ({"family": "tables"}, ["'tables'", "'table'"]),
        ({"delta": 0}, ["0", "delta"]),
        ({"arms": (Arm("a", {}), Arm("b", {}))}, ["'a'", "'b'", "same configuration"]),
    ],
)
def test_what_cannot_be_run_is_a_sentence(changes: Mapping[str, Any], parts: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        replace(STUDY, **changes).trials(TRAIN)
    assert "\n" not in str(error.value)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize("seeds", [np.arange(2), [np.int64(0), np.int32(1)], iter([0, 1]), (0, 1), {0: 1, 1: 1}.keys()])
def test_any_iterable_of_whole_numbers_is_seeds(seeds: Any) -> None:
    assert [trial.seed for trial in replace(STUDY, seeds=seeds).trials(TRAIN)] == [0, 1, 0, 1]
    assert {type(trial.seed) for trial in replace(STUDY, seeds=[np.int64(3)]).trials(TRAIN)} == {int}


def test_numbers_of_numpy_are_numbers() -> None:
    study = STUDY.with_base(a=np.float32(0.5), b=np.int64(3), c=np.bool_(True), d=[np.float64(1.5)])
    config = study.trials(TRAIN)[0].config
    assert config == {"lr": 0.1, "a": 0.5, "b": 3, "c": True, "d": [1.5]}
    assert [type(config[key]) for key in "abc"] == [float, int, bool]
    assert study.trials(TRAIN)[0].key == STUDY.with_base(a=0.5, b=3, c=True, d=[1.5]).trials(TRAIN)[0].key


def test_hard_names_are_names() -> None:
    hard = (
        "it's 5%",
        "cost $5 or $6_",
        "[bold]",
        "two\nlines",
        'say "so"',
        "a · b",
        "{x}",
        "\\alpha",
        "Größe",
        "#1 & co",
    )
    study = replace(STUDY, arms=[Arm("a", {}), *(Arm(name, {"lr": n}) for n, name in enumerate(hard))])
    assert {trial.arm for trial in study.trials(TRAIN)} == {"a", *hard}


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (Options(seeds=20240607), ["20240607", "--seeds", "seeds=(20240607,)"]),
        (Options(seeds=99999999999999999999), ["99999999999999999999"]),
        (Options(seeds=0), ["0"]),
        (Options(mixers=[]), ["mixer", "at least one"]),
        (Options(preset="papper"), ["'papper'", "'paper'"]),
        (Options(arms=["c"]), ["'c'"]),
    ],
)
def test_wrong_options(options: Options, parts: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        configure(STUDY, TRAIN, options)
    for part in parts:
        assert part in str(error.value)


def test_plans_differ_by_what_they_contain_but_seeds() -> None:
    assert STUDY.with_seeds(range(9)).identity == STUDY.identity
    assert replace(STUDY, arms=STUDY.arms[:1]).identity != STUDY.identity
    assert STUDY.with_levels("mixer", ["a", "b"]).identity != STUDY.with_levels("mixer", ["a"]).identity


def test_an_arm_brings_what_it_is_compared_with() -> None:
    arms = (
        Arm("a", {}),
        Arm("b", {"x": 1}),
        Arm("c", {"x": 2}, against="b"),
        Arm("d", {"x": 3}, against="c"),
        Arm("e", {}),
    )
    assert [arm.name for arm in replace(STUDY, arms=arms).with_arms(["d"]).arms] == ["a", "b", "c", "d"]


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.just(Path("x"))
    | st.just({1, 2}),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
ARMS = st.lists(st.builds(Arm, ANYTHING, ANYTHING, ANYTHING), max_size=3) | ANYTHING
FIELDS = {
    "name": ANYTHING,
    "base": ANYTHING,
    "arms": ARMS,
    "factors": st.dictionaries(st.text(max_size=3), ANYTHING, max_size=2) | ANYTHING,
    "seeds": ANYTHING,
    "metric": ANYTHING,
    "family": ANYTHING,
    "delta": ANYTHING,
}


@settings(deadline=None, max_examples=200)
@given(data=st.data())
def test_nothing_that_a_study_says_ends_in_a_traceback(data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(FIELDS)))
    study = replace(STUDY, **{field: data.draw(FIELDS[field])})
    with contextlib.suppress(BadInput):
        trials = study.trials(TRAIN)
        assert study.plan(trials, "paper", TRAIN)["trials"]
