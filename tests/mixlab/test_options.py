"""Options that are wrong, or contradict the study, are refused in one sentence."""

import math
import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from mixlab import Options, run
from mixlab.cli import parse
from mixlab.errors import BadInput
from tests.endings import refused
from tests.mixlab.spec.minimal import STUDY, TRAIN, Toy


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
    """Nan is not equal to itself, so that a single one was refused; true is equal to 1, and was kept in its place."""
    (value,) = parse(STUDY, ["--set", "lr=NaN", "--set", "lr=NaN"]).changes.values()
    assert math.isnan(value)
    with pytest.raises(BadInput, match="--set gives lr two values, True and 1: give it one"):
        parse(STUDY, ["--set", "lr=true", "--set", "lr=1"])


def test_a_quote_without_its_end_is_a_sentence():
    for text in ('"mixup', '"mixup" x', '"a", "b" c'):
        with refused("cannot be read as names with commas between them"):
            parse(STUDY, ["--arms", text])
