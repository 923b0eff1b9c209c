"""The ten lines that say how to search anything else: they run, on real images."""

import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import optuna
import pytest

from mixlab import Search

ROOT = Path(__file__).parents[2]


def example() -> str:
    found = re.search(r"To search anything else::\n\n(.*?)\n\n {4}\S", inspect.getsource(Search), re.DOTALL)
    assert found
    return textwrap.dedent(found[1])


def test_it_is_ten_lines_and_the_readme_has_the_same() -> None:
    assert len(example().splitlines()) == 10
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    for block in (block for block in shown if "Search(" in block):
        assert [line for line in block.splitlines() if line.strip()] == example().splitlines()


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    (tmp_path / "search_lr.py").write_text(example())
    small = ("--epochs", "1", "--train-images", "200", "--set", "test_images=200", "--set", "backbone=resnet8")
    options = ("--data-root", str(ROOT / "data"), "--trials", "4", "--seeds", "1", *small)
    command = [sys.executable, "search_lr.py", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Search over: 4/4 tried" in done.stdout
    assert "2/2 done" in done.stdout
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "results" / "search_lr" / "optuna.journal"))
    )
    arms = [name for name in optuna.get_all_study_names(storage) if "/" in name]
    assert len(arms) == 2
    for name in arms:
        for trial in optuna.load_study(study_name=name, storage=storage).trials:
            assert 0.01 <= trial.params["lr"] <= 0.5
            assert trial.params["weight_decay"] in (0.0, 1e-4, 5e-4)
            assert 0 <= (trial.value or -1) <= 100
