"""A trainable may leave out most parts; one that is wrong is a sentence, and a configuration is asked about once."""

import hashlib
import math
import pickle
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any, ClassVar
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from mixlab import Metric
from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from tests.mixlab.spec.minimal import STUDY, TRAIN, Toy, with_attributes


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
        ("files", "lr", "files .* must be a list of names, got 'lr'"),
        ("prepared", ("lr", 3), r"prepared .* must be a list of names, got \('lr', 3\)"),
        ("timed", np.array("lr"), "timed .* must be a list of names, got 'lr'"),
        *(
            ("final", each, "final .* must be a tuple of")
            for each in (torch.tensor(0), (ValueError, "x"), (KeyboardInterrupt,))
        ),
        ("numbers", "2", "numbers .* must be a whole number, at least 1, got '2'"),
        ("numbers", 0, "numbers .* must be a whole number, at least 1, got 0"),
        ("numbers", lambda config: config["lr"], "numbers .* must be a whole number, at least 1, got 0.1"),
        ("parallel", 1, "parallel .* must be True or False, got 1"),
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
    with pytest.raises(BadInput, match=sentence):
        STUDY.trials(with_attributes(**{field: value}))


def test_long_settings_are_cut_short_where_a_function_of_the_trainable_fails():
    with pytest.raises(BadInput, match=r"^resolve .* fails for {'note': 'x+\.\.\.x+'}: KeyError: 'rate' \("):
        with_attributes(resolve=lambda config: config["rate"]).read({"note": "x" * 100})


def test_what_a_method_returns_is_checked():
    assert complete(Toy()).lacking({}, Path("data")) is None
    assert with_attributes(lacking=lambda *_: ("no data",)).lacking({}, Path("data")) == ["no data"]
    for nothing in (None, "no data"):
        with pytest.raises(BadInput, match=f"must be a list of sentences, got {nothing!r}"):
            with_attributes(lacking=lambda *_, found=nothing: found).lacking({}, Path("data"))
    with pytest.raises(ValueError, match="this trainable does not measure what memory it needs: give a number of GPUs"):
        complete(Toy()).gpu_memory({}, Path("data"))
    for found in ((0.5, 0), (4_000, 16_000.0)):
        assert with_attributes(gpu_memory=lambda *_, found=found: found).gpu_memory({}, Path()) == found
    for found in ((0, 1), (-1.0, 1), (math.inf, 1), (math.nan, 1), (1, -1.0), (1, math.inf), (1, math.nan)):
        with pytest.raises(ValueError, match="must return MiB above 0, and the free MiB, got"):
            with_attributes(gpu_memory=lambda *_, found=found: found).gpu_memory({}, Path())
    unknown = ((each, None) for each in (None, -1.0, math.nan, math.inf))
    for seconds, known in ((0, 0.0), (np.float32(2.5), 2.5), (9.9e9, 9.9e9), *unknown):
        train = with_attributes(estimate_seconds=lambda *_, seconds=seconds: seconds)
        assert train.estimate_seconds({}, Path("data")) == known, seconds


def of_known_keys(config: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a configuration as a trainable whose cutmix has an option that no other mixer has."""
    for key in config.keys() - {"lr", "mixer", *(["alpha"] if config.get("mixer") == "cutmix" else [])}:
        raise ValueError(f"unknown key {key!r}")
    return {"mixer": "none", **config}


@pytest.mark.parametrize(
    ("night", "sentence"),
    [
        ({"mixre": "cutmix", "seeds": 3}, "^the preset 'night' cannot be run: unknown key 'mixre'$"),
        ({"alpha": 1.0}, "^the preset 'night' cannot be run: unknown key 'alpha'$"),
        ({"mixer": "cutmix", "alpha": 1.0, "seeds": 3}, ""),
    ],
)
def test_a_misspelt_key_of_a_preset_is_refused_though_another_is_chosen(night, sentence):
    of_the_study = replace(STUDY, presets={"night": night}), with_attributes(resolve=of_known_keys)
    of_the_trainable = STUDY, with_attributes(resolve=of_known_keys, presets={"night": night})
    for study, train in (of_the_study, of_the_trainable):
        with pytest.raises(BadInput, match=sentence) if sentence else nullcontext():
            study.trials(train)
    of_a_cutmix = replace(STUDY.with_base(mixer="cutmix"), presets={"night": {"alpha": 1.0}})
    of_a_cutmix.trials(with_attributes(resolve=of_known_keys))


def test_a_trainable_is_asked_about_the_metric_that_is_compared():
    train = with_attributes(check_metric=lambda settings, metric: refuse(f"{metric} is not read"))
    for study, metric in ((STUDY, "rmse_last"), (replace(STUDY, metric="rmse"), "rmse")):
        with pytest.raises(BadInput, match=f"^{metric} is not read$"):
            study.trials(train)


class Checking(Toy):
    """Notes what it is asked to resolve and to check."""

    presets: ClassVar[Mapping[str, Any]] = {"quick": {"lr": 5.0}}  # which is not asked about until it is chosen

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


def test_a_trainable_is_asked_whether_so_many_processes_can_train_a_run():
    def check(settings: Mapping[str, Any], processes: int) -> None:
        if processes > 3:
            raise ValueError(f"processes must be at most 3, got {processes}")

    STUDY.trials(with_attributes(3, parallel=True, check=check))
    with pytest.raises(BadInput, match=r"^processes must be at most 3, got 4$"):
        STUDY.trials(with_attributes(4, parallel=True, check=check))


@pytest.mark.parametrize(
    ("metrics", "name"),
    [
        ((Metric("loss"),), "loss"),
        ((Metric("loss"), Metric("top1", rules=("last", "median3"))), "top1_last"),
        ((Metric("top1", rules=("median3", "last")), Metric("loss", rules=("last",))), "top1_median3"),
    ],
)
def test_a_study_compares_the_first_metric_with_a_rule_by_its_first_rule(metrics, name):
    assert with_attributes(metrics=metrics).metric == name
    assert with_attributes(metrics=(*metrics, Metric("own")), metric="own").metric == "own"


def test_what_a_trainable_leaves_open():
    assert with_attributes(metrics=(Metric("loss"), Metric("top1"))).objectives({}) == ["loss", "top1"]
    assert with_attributes(objectives=lambda config: (config["metric"],)).objectives({"metric": "a"}) == ["a"]
    assert complete(Toy()).final == (ValueError,)
    assert with_attributes(final=KeyError).final == (KeyError,)
    assert with_attributes(final=[KeyError, OSError]).final == (KeyError, OSError)


def test_a_resolved_configuration_can_be_sent_to_a_worker_in_the_form_that_the_trainable_takes():
    frozen = with_attributes(resolve=lambda config: MappingProxyType({"x": np.float32(0.5)})).resolve({})
    assert (repr(frozen.flat), repr(frozen.settings)) == ("{'x': 0.5}", "{'x': 0.5}")
    parsed = SimpleNamespace(flat={"x": np.int64(2)}, settings=("parsed",))
    found = with_attributes(resolve=lambda config: parsed).resolve({})
    assert (found.flat, found.settings) == ({"x": 2}, ("parsed",))


def test_data_is_prepared_once_for_runs_that_need_the_same_if_there_is_any():
    given: list[Any] = []
    complete(Toy()).prepare({"lr": 1}, Path("data"))
    with_attributes(prepare=lambda *those: given.append(those)).prepare({"lr": 1}, Path("data"))
    assert given == [({"lr": 1}, Path("data"))]
    trials = replace(STUDY.with_base(crop=[4, 4]), factors={"dataset": ("cifar10", "cifar100")}).trials(TRAIN)
    for prepared, datasets in (((), [100]), (("dataset", "crop"), [10, 100]), (("dataset", "lr"), [10, 10, 100, 100])):
        found = with_attributes(prepared=prepared).to_prepare(trials)
        assert [each["dataset"] for each in found] == [f"cifar{size}" for size in datasets]


def test_a_file_is_read_once_and_one_that_is_not_there_is_a_sentence(tmp_path):
    """A trial reads what its key describes, also if the file is written anew while the study runs."""
    train = with_attributes(files=("teacher", "labels"))
    path = tmp_path / "a.pt"
    path.write_bytes(b"one")
    before = train.contents({"teacher": str(path), "labels": None, "lr": 0.1})
    assert before == {"teacher": f"sha256:{hashlib.sha256(b'one').hexdigest()}"}
    path.write_bytes(b"two")
    assert train.content(str(path)) == b"one"
    assert train.contents({"teacher": str(path)}) == before
    assert pickle.loads(pickle.dumps(train)).contents({"teacher": str(path)}) != before
    with pytest.raises(BadInput, match=r"^teacher must be a file, but there is none at '/proc/none\.pt'$"):
        train.contents({"teacher": "/proc/none.pt"})
    with pytest.raises(BadInput, match=r"^labels '/proc/self/mem' cannot be read \(.*\): give a file that can$"):
        train.contents({"labels": "/proc/self/mem"})


@pytest.mark.parametrize(
    ("attributes", "more"), [({}, {}), ({"parallel": False}, {}), ({"parallel": True}, {"processes": 3})]
)
def test_only_a_trainable_that_takes_processes_is_given_them(attributes, more, monkeypatch):
    called = Mock()
    monkeypatch.setattr(Toy, "__call__", called)
    with_attributes(**attributes)({"lr": 1}, 7, print, Path("saved"), Path("data"), 3)
    called.assert_called_once_with({"lr": 1}, 7, print, resume_from=Path("saved"), data_root=Path("data"), **more)
