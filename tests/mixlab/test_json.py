"""``--json`` puts one JSON object on the standard output and everything else on the standard error."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixlab import main
from mixlab.launching.result import Result
from tests.study_folder import TOY
from tests.toy import STUDIES, Toy

FIELDS = {"exit_code", "plan", "outlook", "verdicts", "failures", "paths"}


def start(*options: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(STUDIES["faulty"](), Toy(), ["--json", *options])
    return int(ended.value.code or 0)


def test_a_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert start("--dry-run") == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert set(found) == FIELDS
    assert found["exit_code"] == 0
    assert found["plan"]["arms"] == ["sound", "faulty", "dying"]
    assert len(found["plan"]["trials"]) == 6
    assert found["outlook"][-1] in err
    assert "6 trials: 6 pending" in err
    assert found["paths"] == {"page": None, "files": []}


def test_bad_input_is_a_sentence_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert start("--arms", "sounds") == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 2
    assert err == "error: unknown arm 'sounds'; did you mean 'sound'?\n"


def test_numbers_of_numpy_and_failures_are_json() -> None:
    plan = {"config": {"alpha": np.float64(0.2), "images": np.int64(5)}}
    found = json.loads(Result(1, plan=plan, failures={"faulty · seed 0": "ValueError: no"}).json())
    assert found["plan"] == {"config": {"alpha": 0.2, "images": 5}}
    assert found["failures"] == {"faulty · seed 0": "ValueError: no"}
    assert found["exit_code"] == 1


@pytest.mark.slow
def test_a_launch(tmp_path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    command = [sys.executable, "-P", str(TOY), "sequential", "--json", "--arms", "clear", "--seeds", "1"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert set(found) == FIELDS
    (verdict,) = found["verdicts"]
    assert {**verdict, "gain": 2.0} == {
        **{"table": {}, "arm": "clear", "against": "plain", "verdict": "too few seeds", "pairs": 1, "gain": 2.0},
        **{"gain_low": None, "gain_high": None, "p": 1.0, "p_family": 1.0},
    }
    assert verdict["gain"] == pytest.approx(2)
    for file in (found["paths"]["page"], *found["paths"]["files"]):
        assert (tmp_path / file).is_file()
    assert "Every run in the MLflow UI" in ended.stderr
