"""A trainable may leave out most parts; one that is wrong is a sentence, and a configuration is asked about once."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from tests.mixlab.spec.minimal import STUDY, Toy


def refuse(message: str) -> None:
    raise ValueError(message)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("metrics", (), "declares no metrics"),
        ("metric", "accuracy", "metric of the trainable 'accuracy'"),
        ("presets", ["paper"], r"presets .* must be a mapping, got \['paper'\]"),
        ("neutral", [1], r"neutral .* must be a mapping, got \[1\]"),
        ("held_out", ["a"], r"held_out .* must be a mapping, got \['a'\]"),
        ("files", "lr", "files .* must be a tuple of configuration keys, got 'lr'"),
        ("timed", np.array("lr"), "timed .* must be a tuple of configuration keys, got 'lr'"),
        ("final", torch.tensor(0), "final .* must be a tuple of exceptions"),
        ("final", ("x",), "final .* must be a tuple of exceptions"),
        ("numbers", "2", "numbers .* must be a whole number, at least 1, got '2'"),
        ("resolve", lambda config: None, "resolve .* must return a mapping, or flat and settings, got None"),
        ("resolve", lambda config: {"x": {1}}, "x must be text"),
        ("resolve", lambda config: config["lr"] < "1", r"fails for {'lr': 0.1}: TypeError: .* \(.*, line \d+\)$"),
        ("resolve", lambda config: int(""), "^invalid literal for int"),
        # Others, such as pydantic's, name what is wrong in the last of several lines.
        ("resolve", lambda config: refuse("1 error\nlr\n  got 'much  more'\n"), "^1 error lr got 'much  more'$"),
        ("resolve", lambda config: sys.exit("no such option"), "resolve .* fails for .*: SystemExit: no such option"),
        ("check", lambda settings: settings["rate"], r"check .* fails for {'lr': 0.1}: KeyError: 'rate'"),
        ("resolve", lambda config: {"x%": 1}, "resolved configuration has the key 'x%'"),
    ],
)
def test_a_trainable_that_is_wrong_is_a_sentence(field, value, sentence):
    train = Toy()
    setattr(train, field, value)
    with pytest.raises(BadInput, match=sentence):
        STUDY.trials(train)


class Checking(Toy):
    """Notes what it is asked to resolve and to check."""

    def __init__(self) -> None:
        self.resolved: list[float] = []
        self.checked: list[float] = []

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        self.resolved.append(config["lr"])
        return dict(config)

    def check(self, settings: Mapping[str, Any]) -> None:
        self.checked.append(settings["lr"])
        if settings["lr"] > 1:
            raise ValueError(f"lr must be at most 1, got {settings['lr']}")


def test_a_configuration_is_resolved_and_checked_once_and_not_checked_once_all_its_trials_have_run():
    """Either may take a second, as where it asks the network, for which a study that is done does not wait."""
    train = Checking()
    completed = complete(train)
    trials = STUDY.trials(completed)
    STUDY.trials(completed)
    assert train.resolved == train.checked == [0.1, 0.2]
    keys = {trial.key for trial in trials if trial.cell == trials[0].cell}
    completed = complete(train)
    assert STUDY.trials(completed, keys) == trials
    assert train.checked[2:] == [0.2]
    STUDY.trials(completed, {*keys, trials[-1].key})
    assert train.checked[2:] == [0.2]
    with pytest.raises(BadInput, match=r"^lr must be at most 1, got 2$"):
        STUDY.with_base(lr=2).trials(complete(train), keys)


class Together(Toy):
    """Trains in several processes, three at most."""

    parallel = True

    def check(self, settings: Mapping[str, Any], processes: int) -> None:
        if processes > 3:
            raise ValueError(f"processes must be at most 3, got {processes}")


def test_a_trainable_is_asked_whether_so_many_processes_can_train_a_run():
    STUDY.trials(complete(Together(), 3))
    with pytest.raises(BadInput, match=r"^processes must be at most 3, got 4$"):
        STUDY.trials(complete(Together(), 4))


@pytest.mark.parametrize("seconds", [None, float("nan"), float("inf"), -5.0, 1e300, 10**400, "soon", 1j])
def test_an_estimate_that_is_no_number_is_unknown(seconds):
    train = Toy()
    train.estimate_seconds = lambda settings: seconds
    assert complete(train).estimate_seconds({}) is None


def test_a_lack_that_is_no_list_is_refused():
    train = Toy()
    train.lacking = lambda settings, data_root: "no data"
    with pytest.raises(BadInput, match=r"lacking .* must return a list of sentences, got 'no data'"):
        complete(train).lacking({}, Path("data"))
