"""Mirrors show what MLflow records, and can neither stop a study nor lose anything of it."""

import sys
import threading
from types import SimpleNamespace
from typing import Any
from unittest.mock import DEFAULT, Mock, call

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mixlab import Epoch, Options
from mixlab.api import run as run_study
from mixlab.errors import BadInput
from mixlab.spec.trial import State, Trial
from mixlab.tracking.mirrors import MIRRORS, Mirrors, opened, tensorboard
from mixlab.tracking.mirrors.tensorboard import TensorBoard
from tests.mixlab.spec.minimal import STUDY, Toy
from tests.waiting import wait_for


def trial(seed: int) -> Trial:
    return Trial(f"key{seed}", "cutmix · + lam", {}, seed, {"lr": 0.1, "seed": 7}, None)


def epochs(seed: int) -> list[Epoch]:
    return [Epoch(number, 3, {"top1": 10.0 * number + seed}) for number in (1, 2, 3)]


def shown_to(mirrors: Mirrors, running: tuple[Trial, ...] = ()) -> None:
    """Show two seeds of three epochs each."""
    for seed in (0, 1):
        mirrors.start(trial(seed))
        for epoch in epochs(seed):
            mirrors.epoch(trial(seed), epoch)
        if trial(seed) not in running:
            mirrors.end(trial(seed), State.DONE)
    mirrors.close(running)


def told_of(seed: int, end: State = State.DONE) -> list[Any]:
    """Return the calls of a mirror that is shown a seed."""
    each = [call.epoch(trial(seed), epoch) for epoch in epochs(seed)]
    return [call.start(trial(seed)), *each, call.end(trial(seed), end)]


@pytest.mark.parametrize("fault", [RuntimeError("no\nroute"), SystemExit(3), KeyError("run")])
def test_a_mirror_that_raises_is_dropped_once_and_the_others_get_every_event_in_order(fault):
    said: list[str] = []
    faulty, sound = Mock(epoch=Mock(side_effect=[None, fault])), Mock()
    shown_to(Mirrors({"faulty": faulty, "sound": sound}, said.append), running=(trial(1),))
    assert faulty.mock_calls == told_of(0)[:3]
    assert sound.mock_calls == [*told_of(0), *told_of(1, State.INTERRUPTED)]
    assert [(sentence[:30], "\n" in sentence) for sentence in said] == [("the mirror faulty is dropped: ", False)]


def test_a_mirror_that_hangs_or_falls_behind_is_left(monkeypatch):
    clock = Mock(side_effect=[0.0, 0.0, 1e9, 0.0, 1e9])  # for the sound one there is time, and then none is left
    monkeypatch.setattr("mixlab.tracking.mirrors.time", SimpleNamespace(monotonic=clock))
    said: list[str] = []
    go_on, sound = threading.Event(), Mock()
    hanging = Mock(epoch=lambda *_: go_on.wait())
    shown_to(Mirrors({"sound": sound, "hanging": hanging}, said.append))
    assert len(sound.mock_calls) == 10
    monkeypatch.setattr("mixlab.tracking.mirrors.MOST_WAITING", 3)
    shown_to(Mirrors({"slow": hanging}, said.append))
    go_on.set()
    assert said == [
        "the mirror hanging is dropped: it does not come to an end; MLflow goes on recording everything",
        "the mirror slow is dropped: it does not keep up; MLflow goes on recording everything",
    ]


def test_tensorboard_has_a_folder_within_its_own_for_each_cell_whatever_its_name(tmp_path):
    shown = TensorBoard("study", tmp_path)
    trials = [Trial(cell, cell, {}, 0, {}) for cell in ("a/b", "a-b", "a%2Fb", "..", ".")]
    for each in trials:
        shown.start(each)
        shown.end(each, State.DONE)
    assert len(list(tmp_path.glob("tensorboard/*/seed 0/events*"))) == len(trials)


def test_tensorboard_shows_what_it_was_given(tmp_path):
    shown_to(opened(["tensorboard"], "study", tmp_path, pytest.fail))
    for seed in (0, 1):
        events = EventAccumulator(f"{tmp_path}/tensorboard/{trial(seed).cell}/seed {seed}")
        events.Reload()
        points = [(point.step, point.value) for point in events.Scalars("top1")]
        assert points == [(number, 10.0 * number + seed) for number in (1, 2, 3)]


def test_tensorboard_shows_an_epoch_while_its_trial_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(tensorboard, "FLUSH_SECONDS", 0.01)
    shown = TensorBoard("study", tmp_path)
    shown.start(trial(0))
    shown.epoch(trial(0), Epoch(1, 3, {"loss": 1.0, "top1": 10.0}))
    events = EventAccumulator(f"{tmp_path}/tensorboard/{trial(0).cell}/seed 0")
    wait_for(lambda: {"loss", "top1"} <= set(events.Reload().Tags()["scalars"]), seconds=60)
    shown.end(trial(0), State.DONE)


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_packages_with_runs_are_called_by_their_own_names(name, tmp_path, monkeypatch):
    """This holds the arguments that both document; trackio itself is tried in ``test_trackio``."""
    package, sent = Mock(), []
    package.init.side_effect = lambda **_: sent.extend(sys.argv) or DEFAULT  # as W&B does
    monkeypatch.setattr(sys, "argv", ["study.py", "--storage", "s3://AKID:secret@bucket/x"])
    monkeypatch.setitem(sys.modules, name, package)
    mirrors = opened([name], "study", tmp_path, pytest.fail)
    mirrors.start(trial(0))  # which is then retried
    shown_to(mirrors)
    given = {"project": "study", "name": trial(0).name, "config": {"lr": 0.1, "seed": 0}, "resume": "allow"}
    assert given.items() <= package.init.call_args_list[0].kwargs.items()
    assert package.init.return_value.log.call_args_list[0] == call({"top1": 10.0}, step=1)
    assert [made for made, *_ in package.mock_calls] == 2 * ["init", *3 * ["init().log"], "init().finish"]
    assert sent == 2 * ["study.py", "--storage", "s3://AKID:***@bucket/x"]


def test_a_mirror_whose_package_is_not_there_is_bad_input(tmp_path, monkeypatch):
    assert set(MIRRORS) == {"tensorboard", "trackio", "wandb"}
    for name, package in (("wandb", "wandb"), ("trackio", "trackio"), ("tensorboard", "tensorboardX")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(BadInput, match=f"^--mirrors {name} needs the package {package}, which is not installed$"):
            run_study(STUDY, Toy(), Options(mirrors=[name], check_only=True))
        with pytest.raises(BadInput, match=f"^--mirrors {name}: its package cannot be imported \\(.*{package}"):
            opened([name], "study", tmp_path, pytest.fail)
