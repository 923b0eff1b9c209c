"""A trainable may leave out most parts; one that is wrong is a sentence, and a configuration is asked about once."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from tests.mixlab.spec.test_border import STUDY, Toy


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("metrics", (), "declares no metrics"),
        ("metric", "accuracy", "metric of the trainable 'accuracy'"),
        ("presets", ["paper"], r"presets .* must be a mapping, got \['paper'\]"),
        ("neutral", [1], r"neutral .* must be a mapping, got \[1\]"),
        ("held_out", ["a"], r"held_out .* must be a mapping, got \['a'\]"),
        ("files", "lr", "files .* must be a tuple of configuration keys, got 'lr'"),
        ("files", 3, "files .* must be a tuple of configuration keys, got 3"),
        ("timed", np.array("lr"), "timed .* must be a tuple of configuration keys, got 'lr'"),
        ("final", torch.tensor(0), "final .* must be a tuple of exceptions"),
        ("final", ("x",), "final .* must be a tuple of exceptions"),
        ("numbers", "2", "numbers .* must be a whole number, at least 1, got '2'"),
        ("resolve", lambda config: None, "resolve .* must return a mapping, or flat and settings, got None"),
        ("resolve", lambda config: {"x": {1}}, "x must be text"),
        (
            "resolve",
            lambda config: config["lr"] < "1",
            r"resolve .* fails for {'lr': 0.1}: TypeError: .* \(.*, line \d+\)$",
        ),
        ("resolve", lambda config: int(""), "^invalid literal for int"),
        ("resolve", lambda config: sys.exit("no such option"), "resolve .* fails for .*: SystemExit: no such option"),
        ("check", lambda settings: settings["rate"], r"check .* fails for {'lr': 0.1}: KeyError: 'rate'"),
        ("resolve", lambda config: {"x%": 1}, "resolved configuration has the key 'x%'"),
    ],
)
def test_a_trainable_that_is_wrong_is_a_sentence(field: str, value: Any, sentence: str) -> None:
    train = Toy()
    setattr(train, field, value)
    with pytest.raises(BadInput, match=sentence):
        STUDY.trials(train)


def test_a_configuration_is_resolved_once_however_many_trials_ask() -> None:
    """It may take a second, as that of a mixer that asks the network."""
    train, asked = Toy(), []
    train.resolve = lambda config: asked.append(dict(config)) or dict(config)  # type: ignore[attr-defined, func-returns-value]
    completed = complete(train)
    for _ in range(2):
        STUDY.trials(completed)
    assert asked == [{"lr": 0.1}, {"lr": 0.2}]


def test_a_configuration_is_checked_once_and_not_at_all_once_all_its_trials_have_run() -> None:
    """A check may import torch and build a network, for which a study that is done does not wait."""

    class Checking(Toy):
        def __init__(self) -> None:
            self.asked: list[float] = []

        def check(self, settings: Mapping[str, Any]) -> None:
            self.asked.append(settings["lr"])
            if settings["lr"] > 1:
                raise ValueError(f"lr must be at most 1, got {settings['lr']}")

    study, train = replace(STUDY, seeds=range(2)), Checking()
    completed = complete(train)
    trials = study.trials(completed)
    study.trials(completed)
    assert train.asked == [0.1, 0.2]
    keys = {trial.key for trial in trials if trial.cell == trials[0].cell}
    completed = complete(train)
    assert study.trials(completed, keys) == trials
    assert train.asked[2:] == [0.2]
    study.trials(completed, {*keys, trials[-1].key})
    assert train.asked[2:] == [0.2]
    with pytest.raises(BadInput, match=r"^lr must be at most 1, got 2$"):
        study.with_base(lr=2).trials(complete(train), keys)


def test_a_refusal_of_several_lines_is_one_sentence() -> None:
    """Others, such as pydantic's, name what is wrong in the last of them."""

    class Refusing(Toy):
        def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
            raise ValueError("1 error for Settings\nlr\n  must be a number, got 'much  more'\n")

    with pytest.raises(BadInput, match=r"^1 error for Settings lr must be a number, got 'much  more'$"):
        complete(Refusing()).read({"lr": "much  more"})


@pytest.mark.parametrize("seconds", [None, float("nan"), float("inf"), -5.0, 1e300, 10**400, "soon", 1j])
def test_an_estimate_that_is_no_number_is_unknown(seconds: Any) -> None:
    train = Toy()
    train.estimate_seconds = lambda settings: seconds  # type: ignore[attr-defined]
    assert complete(train).estimate_seconds({}) is None


def test_a_lack_that_is_no_list_is_refused() -> None:
    train = Toy()
    train.lacking = lambda settings, data_root: "no data"  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match=r"lacking .* must return a list of sentences, got 'no data'"):
        complete(train).lacking({}, Path("data"))
