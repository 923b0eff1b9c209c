"""``--json`` puts one JSON object on the standard output and everything else on the standard error.

A whole launch does the same in ``test_racing_search``.
"""

import json
import math
from pathlib import Path

import pytest

from mixlab import main
from mixlab.launching.result import Result
from tests.strict_json import strict
from tests.toy import STUDIES, Toy

FIELDS = {"exit_code", "plan", "outlook", "verdicts", "failures", "paths"}


def start(*options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(STUDIES["faulty"](), Toy(), ["--json", *options])
    return int(ended.value.code or 0)


def test_a_dry_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert start("--dry-run") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert set(found) == FIELDS
    assert (found["exit_code"], found["paths"]) == (0, {"page": None, "files": []})
    assert found["plan"]["arms"] == ["poisoned", "sound", "faulty", "dying"]
    assert len(found["plan"]["trials"]) == 8
    assert found["outlook"][-1] in err
    assert "8 trials: 8 pending" in err


def test_bad_input_is_a_sentence_and_an_exit_code(capsys):
    assert start("--arms", "sounds") == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 2
    assert err == "error: unknown arm 'sounds'; did you mean 'sound'?\n"


def test_numbers_that_are_not_finite_and_failures_are_json():
    result = Result(1, plan={"clip": math.inf}, verdicts=[{"gain": math.nan}], failures={"plain · seed 0": "no"})
    found = strict(result.json())
    assert (found["plan"], found["verdicts"]) == ({"clip": "Infinity"}, [{"gain": "NaN"}])
    assert (found["failures"], found["exit_code"]) == ({"plain · seed 0": "no"}, 1)


def test_a_result_that_ends_a_cell_of_a_notebook_is_short():
    result = Result(1, plan={"trials": [*range(1000)]}, page=Path("report.html"), failures={"plain · seed 0": "no"})
    shown = f"Result(exit_code=1, verdicts=[], page={Path('report.html')!r}, failures={{'plain · seed 0': 'no'}})"
    assert repr(result) == shown
