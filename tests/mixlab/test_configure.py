"""A study is changed by its preset, then by each option; options that are wrong or contradict it are refused."""

import io
import math
import re
from contextlib import nullcontext
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mixlab import Arm, Choice, Float, Options, Search, Study, run
from mixlab.cli import parse
from mixlab.configure import configure
from mixlab.errors import BadInput
from mixlab.listing import print_list
from tests.endings import refused
from tests.mixlab.spec.minimal import TRAIN, Toy, with_attributes

STUDY = Study(
    name="toy",
    base={"lr": 0.1, "epochs": 9},
    factors={"mixer": ("cutmix", "mixup")},
    arms=(Arm("plain", {}), Arm("fast", {"lr": 0.2}), Arm("long", {"epochs": 20}, against="fast", control=True)),
    presets={"night": {"epochs": 2, "seeds": 3, "lr": 0.3}, "one": {"mixer": "fmix"}, "many": {"seeds": 5000}},
)
SEARCH = Search(
    study=STUDY,
    space={"alpha": Float(0.1, 4, log=True), "depth": Choice(8, 18)},
    budget=12,
    budgets={"night": 6},
    objective="rmse",
)
OF_A_SEARCH = {"sampler": "tpe", "scheduler": "asha", "concurrent": 2, "trials": 5, "optuna_storage": "sqlite:///x"}


def values(study: Study, key: str) -> list[Any]:
    """Return the value of a key in every cell: by level, the three arms."""
    return [cell.config.get(key) for cell in study.cells()]


def configured(**options: Any) -> Study:
    return configure(STUDY, TRAIN, Options(**options))


@pytest.mark.parametrize(
    ("options", "seeds", "epochs", "rates"),
    [
        ({}, range(6), [9, 9, 20], [0.1, 0.2, 0.1]),
        ({"preset": "night"}, range(3), [2, 2, 20], [0.3, 0.2, 0.3]),
        ({"preset": "night", "seeds": 2, "epochs": 4, "changes": {"lr": 1.0}}, range(2), [4, 4, 20], [1.0, 0.2, 1.0]),
    ],
)
def test_options_win_over_a_preset_and_what_is_set_over_both_and_no_arm_changes(options, seeds, epochs, rates):
    study = configured(**options)
    assert list(study.seeds) == list(seeds)
    assert values(study, "epochs") == epochs * 2
    assert values(study, "lr") == rates * 2
    assert "seeds" not in study.base
    if not options:
        assert study == STUDY


def test_levels_and_values_that_an_option_names_win_over_a_preset_that_fixes_the_factor():
    assert list(configured(preset="one").levels("mixer")) == ["fmix"]
    assert list(configured(preset="one", mixers=["mixup", "new"]).levels("mixer")) == ["mixup", "new"]
    assert list(configured(mixers=["new"], changes={"mixer": "new"}).levels("mixer")) == ["new"]
    assert list(configured(backbones=["resnet8"]).levels("backbone")) == ["resnet8"]
    assert [arm.name for arm in configured(arms=["long"]).arms] == ["plain", "fast", "long"]
    given = {"dataset": "cifar10", "train_images": 50, "deterministic": False}
    assert configured(**given).base == {**STUDY.base, **given}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": 0}, "--epochs must be a whole number, at least 1, got 0"),
        ({"seeds": 0}, "--seeds must be a whole number, at least 1, got 0"),
        ({"seeds": 1001}, "--seeds is how many seeds each arm runs, at most 1000, got 1001; the seed 1001 alone is"),
        ({"preset": "many"}, "seeds of the preset 'many' is how many seeds each arm runs, at most 1000, got 5000"),
        ({"preset": "nigth"}, "unknown preset 'nigth'; did you mean 'night'?"),
        ({"mixers": []}, "no level of the factor mixer is named: give at least one"),
        ({"arms": ["fats"]}, "unknown arm 'fats'; did you mean 'fast'?"),
        ({"arms": []}, "--arms names no arm: give at least one"),
        ({"mirrors": ["wandbb"]}, "unknown mirror 'wandbb'; did you mean 'wandb'?"),
        ({"changes": {"lr%": 1}}, "--set has the key 'lr%', but MLflow records"),
        ({"changes": {5: 1}}, "--set has the key 5: keys of a configuration are text"),
        *(
            ({"checkpoint_every": minutes}, f"--checkpoint-every must be minutes, at least 0, got {minutes}")
            for minutes in (-0.5, math.inf, math.nan)
        ),
        *(
            ({option: value}, f"--{option.replace('_', '-')} is an option of a search, and 'toy' is a study")
            for option, value in OF_A_SEARCH.items()
        ),
        ({"dataset": "a", "changes": {"dataset": "b"}}, "--dataset a and --set dataset=b contradict each other"),
        ({"deterministic": True, "changes": {"deterministic": False}}, "--deterministic True and --set determ"),
        ({"mixers": ["a", "b"], "changes": {"mixer": "b"}}, "--mixers a,b and --set mixer=b contradict each other"),
        ({"backbones": ["a"], "changes": {"backbone": "b"}}, "--backbones a and --set backbone=b contradict each"),
    ],
)
def test_options_that_cannot_be_meant_are_a_sentence(options, sentence):
    with pytest.raises(BadInput) as error:
        configured(**options)
    assert f"{error.value}\n".startswith(sentence)


def test_options_that_agree_are_no_contradiction():
    assert configured(epochs=3, changes={"epochs": 3}) == configured(epochs=3)
    assert configured(checkpoint_every=0.5) == STUDY
    assert len(configured(seeds=1000).seeds) == 1000


def test_one_thing_is_asked_for_at_a_time():
    modes = {"check_only": "--check", "listing": "--list", "fetch": "--fetch", "dry_run": "--dry-run"}
    for one, other in combinations(modes, 2):
        configured(**{one: True})
        with refused(f"{modes[one]} and {modes[other]} ask for different things: give one of them"):
            configured(**{one: True, other: True})


def search(**options: Any) -> Search:
    found: Search = configure(SEARCH, TRAIN, Options(**options))
    return found


def test_a_search_takes_its_budget_from_the_option_else_the_preset():
    budgets = [search(**each).budget for each in ({}, {"preset": "night"}, {"preset": "night", "trials": 18})]
    assert budgets == [12, 6, 18]
    found = search(sampler="gp", scheduler="none", concurrent=3, optuna_storage="x")
    assert (found.sampler, found.scheduler, found.concurrent) == ("gp", "none", 3)
    assert found.study == STUDY
    assert values(search(preset="night").study, "epochs") == [2, 2, 20] * 2


def test_a_search_of_one_seed_that_is_to_be_decided_races_with_six_from_that_one():
    for given, seeds in (((50,), range(50, 56)), ((50, 7), (50, 7))):
        found = configure(replace(SEARCH, search_seeds=given), TRAIN, Options(until="decided"))
        assert list(found.search_seeds) == list(seeds)
    assert list(search().search_seeds) == [1000]


def test_what_is_searched_cannot_be_set():
    with refused("--set alpha=1 fixes a key that the search varies: take it out of the space first"):
        search(changes={"alpha": 1})
    with refused("--epochs 3 fixes a key that the search varies"):
        configure(replace(SEARCH, space={"epochs": Choice(1, 3)}), TRAIN, Options(epochs=3))


def listed(spec: Study | Search, train: Any = TRAIN) -> list[str]:
    console = Console(file=io.StringIO(), width=60)
    print_list(spec, spec, train, console)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_the_list_of_a_study_and_of_a_search():
    of_study = [
        "mixer: cutmix, mixup",
        "arm plain: the base",
        "arm fast: lr=0.2",
        "arm long: epochs=20, compared with fast, a control",
        "preset paper: as written",
        "preset quick: as written",
        "preset smoke: as written",
        "preset night: epochs=2, seeds=3, lr=0.3",
        "preset one: mixer=fmix",
        "preset many: seeds=5000",
        "seeds: 0, 1, 2, 3, 4, 5",
    ]
    assert listed(STUDY) == of_study
    of_search = ["alpha: 0.1 to 4 on a log scale", "depth: 8 | 18", "budget: 12 trials, 2 an arm, by tpe"]
    assert listed(SEARCH) == of_study + of_search
    until = configure(STUDY, TRAIN, Options(until="decided", seeds=2))
    assert listed(until)[-1] == "seeds: 0, 1, added until every comparison is decided"


def test_the_list_says_of_a_preset_what_it_changes_and_once_what_all_of_them_do():
    own = {"quick": {"epochs": 3, "lr": 5}, "smoke": {"epochs": 3, "lr": 5}, "paper": {"epochs": 9}}
    presets = {"night": {"lr": 5, "epochs": 3, "seeds": 6}, "late": {"epochs": 3, "lr": 5, "batch": 8}}
    alike = with_attributes(presets=own)
    said = [line for line in listed(replace(STUDY, presets=presets), alike) if line.startswith("preset")]
    assert said == [
        "preset paper: as written",
        "preset quick: as below",
        "preset smoke: as below",
        "preset night: as below",  # six seeds are those of the study
        "preset late: batch=8",
        "presets quick, smoke, night, late also: epochs=3, lr=5",
    ]


@pytest.mark.parametrize(
    ("given", "parts"),
    [
        ({"mixers": "cutmix"}, ["--mixers", "'cutmix'", "a list of names"]),
        ({"mixers": [3]}, ["--mixers", "[3]", "a list of names"]),
        ({"seeds": "3"}, ["--seeds", "'3'", "a whole number"]),
        ({"seeds": True}, ["--seeds", "True", "a whole number"]),
        ({"cpus_per_trial": "2"}, ["--cpus-per-trial", "'2'", "a number"]),
        ({"gpus_per_trial": "all"}, ["--gpus-per-trial", "'all'", "'auto'"]),
        ({"changes": [("lr", 1)]}, ["--set", "a mapping"]),
        ({"listing": 1}, ["--list ", "True or False"]),
        ({"check_only": 1}, ["--check ", "True or False"]),
        ({"storage": None}, ["--storage", "None", "text"]),
        ({"storage": ""}, ["--storage", "''", "place"]),
        ({"data_root": " "}, ["--data-root", "' '", "place"]),
        ({"storage": "~/results"}, ["--storage", "'~/results'", f"give {Path.home()}/results"]),
        ({"tracking_uri": "sqlite:///~/m.db"}, ["--tracking-uri", f"give sqlite:///{Path.home()}/m.db"]),
        (
            dict.fromkeys(("tracking_uri", "optuna_storage"), "postgresql://me:secret@head/db"),
            ["--optuna-storage and --tracking-uri are both 'postgresql://me:***@head/db'", "a database of its own"],
        ),
    ],
)
def test_options_of_a_wrong_kind(given, parts):
    with refused(*parts):
        Options(**given).check()


def test_options_take_paths_and_whole_numbers_for_numbers():
    options = Options(storage=Path("x"), data_root=Path("d"), cpus_per_trial=2, gpus_per_trial=1)
    options.check()
    assert (options.storage, options.data_root) == ("x", "d")


@pytest.mark.parametrize(
    ("storage", "sentence"),
    [
        ("s3://", "--storage 's3://' names no bucket; give one after ://"),
        ("gs:///results", "--storage 'gs:///results' names no bucket; give one after ://"),
        ("file:///", "--storage 'file:///' names no folder; give one after ://"),
        ("ftp://head/results", "unknown kind of storage in --storage 'ftp://head/results': 'ftp'; there are 'file', "),
        ("S3://bucket", "unknown kind of storage in --storage 'S3://bucket': 'S3'; did you mean 's3'?"),
        *((each, "") for each in ("s3://bucket/x", "file:///results", "hdfs:///results", "a b")),
    ],
)
def test_a_storage_that_no_start_could_open_fails_the_check_which_asks_no_server(storage, sentence):
    with pytest.raises(BadInput, match=f"^{re.escape(sentence)}") if sentence else nullcontext():
        run(STUDY, Toy(), Options(storage=storage, check_only=True))


def test_several_gpus_for_a_trial_of_one_process():
    for gpus in (2, 4.0):
        with refused(f"--gpus-per-trial must be at most 1 for what trains in one process, got {gpus:g}"):
            run(STUDY, Toy(), Options(gpus_per_trial=gpus, check_only=True))


@pytest.mark.parametrize(
    ("report", "sentence"),
    [
        ("nope.module", "'nope.module', which is to make the tables, cannot be imported (No module named 'nope')"),
        (".report", "'.report', which is to make the tables, cannot be imported"),
        ("json", "tables need a report with a function report, which 'json' lacks"),
    ],
)
def test_a_report_that_cannot_be_made(report, sentence):
    with refused(sentence):
        run(STUDY, TRAIN, Options(dry_run=True), report=report)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b", ["a", "b"]),
        (" raw pass , + lam,", ["raw pass", "+ lam"]),
        ('"mixup, alpha 0.2",cutmix', ["mixup, alpha 0.2", "cutmix"]),
        ('cutmix, "mixup, alpha 0.2"', ["cutmix", "mixup, alpha 0.2"]),
        ('6" disk,"say ""hi"", please"', ['6" disk', 'say "hi", please']),
        ("", []),
    ],
)
def test_a_name_that_holds_a_comma_is_in_double_quotes(text, names):
    for option in ("arms", "mixers", "backbones"):
        assert getattr(parse(STUDY, [f"--{option}", text]), option) == names


def test_set_twice_is_refused_by_what_was_written():
    """Compared as values, nan would differ from itself, and true would equal 1."""
    (value,) = parse(STUDY, ["--set", "lr=NaN", "--set", "lr=NaN"]).changes.values()
    assert math.isnan(value)
    with pytest.raises(BadInput, match="--set gives lr two values, True and 1: give it one"):
        parse(STUDY, ["--set", "lr=true", "--set", "lr=1"])


def test_a_quote_without_its_end_is_a_sentence():
    for text in ('"mixup', '"mixup" x', '"a", "b" c'):
        with refused("cannot be read as names with commas between them"):
            parse(STUDY, ["--arms", text])
