"""``--json`` puts one JSON object on the standard output and everything else on the standard error."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mixlab import main
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
    assert found["plan"]["arms"] == ["sound", "faulty"]
    assert len(found["plan"]["trials"]) == 4
    assert found["outlook"][-1] in err
    assert "4 trials: 4 pending" in err
    assert found["paths"] == {"page": None, "files": []}


def test_bad_input_is_a_sentence_and_an_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert start("--arms", "sounds") == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 2
    assert err == "error: unknown arm 'sounds'; did you mean 'sound'?\n"


@pytest.mark.slow
def test_a_launch_with_a_failure(tmp_path: Path, empty_store: Path) -> None:
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    command = [sys.executable, "-P", str(TOY), "faulty", "--json"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 1, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert set(found) == FIELDS
    assert found["exit_code"] == 1
    assert set(found["failures"].values()) == {"RuntimeError: broken in epoch 3"}
    (verdict,) = found["verdicts"]
    assert (verdict["arm"], verdict["against"], verdict["pairs"]) == ("faulty", "sound", 0)
    assert verdict["gain"] is None
    for file in (found["paths"]["page"], *found["paths"]["files"]):
        assert (tmp_path / file).is_file()
    assert "Every run in the MLflow UI" in ended.stderr
