"""A study says what it is, and refuses a wrong option, without importing torch, which takes seconds.

It is started where others have run before: their database is there.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.py"))
SLOW = {"torch", "torchvision", "timm", "ray", "mlflow", "optuna", "pandas", "scipy", "unittest.mock"}
LIST = ["--list"]  # every study can show its trials
WRONG = (
    ["--dataset", "cifar101"],
    ["--epoch", "3"],
    ["--preset", "qick"],
    ["--seeds", "0"],
    ["--arms", "baselin"],
    ["--set", "dataste=cifar10"],
    ["--set", "batch_size=many"],
    ["--epochs", "-1"],
)
STARTS = [(["--help"], 0), (LIST, 0), *((options, 2) for options in WRONG)]  # options, and the exit code
# Starts each study with its options in one process; prints the exit codes, and which slow modules are there by then.
SCRIPT = """
import contextlib, io, json, runpy, sys
slow, starts = json.loads(sys.argv[1])
found = []
for study, options in starts:
    sys.argv[1:] = options
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            runpy.run_path(study, run_name="__main__")
        except SystemExit as ended:
            found.append((study, options, ended.code, sorted(set(slow) & set(sys.modules))))
print(json.dumps(found))
"""

Ends = list[tuple[str, list[str], int, list[str]]]


@pytest.fixture(scope="module")
def ends(empty_store) -> Ends:
    lines = [options for options, _ in STARTS]
    starts = [(str(study), options) for study in STUDIES for options in (lines if study == STUDIES[0] else [LIST])]
    asked = json.dumps([sorted(SLOW), starts])
    command = [sys.executable, "-c", SCRIPT, asked]
    run = subprocess.run(command, cwd=empty_store.parent, capture_output=True, text=True, check=True)
    found: Ends = json.loads(run.stdout)
    assert len(found) == len(starts)
    return found


@pytest.mark.parametrize(("options", "code"), STARTS, ids=str)
def test_it_waits_for_nothing(options, code, ends):
    for study, given, ended, imported in ends:
        if given == options:
            assert (ended, imported) == (code, []), study
