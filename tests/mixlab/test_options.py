"""Options that are wrong, or contradict the study, are refused in one sentence."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixlab import Options
from mixlab.api import configure
from mixlab.errors import BadInput
from tests.mixlab.spec.test_border import STUDY, TRAIN


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (Options(seeds=20240607), ["20240607", "--seeds", "seeds=(20240607,)"]),
        (Options(seeds=99999999999999999999), ["99999999999999999999"]),
        (Options(seeds=0), ["0"]),
        (Options(mixers=[]), ["mixer", "at least one"]),
        (Options(preset="papper"), ["'papper'", "'paper'"]),
        (Options(arms=["c"]), ["'c'"]),
        (Options(arms=[]), ["--arms", "at least one"]),
        (Options(mirrors=["wandbb"]), ["'wandbb'", "'wandb'"]),
        (Options(trials=5), ["--trials", "'toy' is a study"]),
        (Options(optuna_storage="sqlite:///x"), ["--optuna-storage", "'toy' is a study"]),
        (Options(changes={"lr%": 1}), ["--set", "'lr%'"]),
        (Options(changes={5: 1}), ["--set", "5", "text"]),  # type: ignore[dict-item]
    ],
)
def test_wrong_options(options: Options, parts: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        configure(STUDY, TRAIN, options)
    for part in parts:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"mixers": "cutmix"}, ["--mixers", "'cutmix'", "a list of names"]),
        ({"arms": "b"}, ["--arms", "'b'", "a list of names"]),
        ({"seeds": "3"}, ["--seeds", "'3'", "a whole number"]),
        ({"seeds": 3.0}, ["--seeds", "3.0", "a whole number"]),
        ({"seeds": True}, ["--seeds", "True", "a whole number"]),
        ({"cpus_per_trial": "2"}, ["--cpus-per-trial", "'2'", "a number"]),
        ({"gpus_per_trial": "all"}, ["--gpus-per-trial", "'all'", "'auto'"]),
        ({"changes": [("lr", 1)]}, ["--changes", "a mapping"]),
        ({"quiet": "no"}, ["--quiet", "'no'", "True or False"]),
        ({"storage": None}, ["--storage", "None", "text"]),
        ({"storage": ""}, ["--storage", "''", "place"]),
        ({"tracking_uri": ""}, ["--tracking-uri", "''", "place"]),
        ({"data_root": " "}, ["--data-root", "' '", "place"]),
        ({"optuna_storage": ""}, ["--optuna-storage", "''", "place"]),
    ],
)
def test_options_of_a_wrong_kind(given: Mapping[str, Any], parts: list[str]) -> None:
    with pytest.raises(BadInput) as error:
        Options(**given).check()
    for part in parts:
        assert part in str(error.value)


def test_options_take_paths_and_whole_numbers_for_numbers() -> None:
    options = Options(storage=Path("x"), data_root=Path("d"), cpus_per_trial=2, gpus_per_trial=1)  # type: ignore[arg-type]
    options.check()
    assert (options.storage, options.data_root) == ("x", "d")


def test_too_many_seeds_of_a_preset_are_not_blamed_on_an_option() -> None:
    study = replace(STUDY, presets={"smoke": {"seeds": 5000}})
    with pytest.raises(BadInput, match=r"^seeds of the preset 'smoke' is how many seeds each arm runs, at most 1000"):
        configure(study, TRAIN, Options(preset="smoke"))
