"""The nine lines that say how to search anything else: they run, on real images."""

import inspect
import re
import textwrap
from pathlib import Path

import pytest

from mixlab import Search
from tests.study_folder import StudyFolder

ROOT = Path(__file__).parents[2]


def example() -> str:
    found = re.search(r"For example:\n\n(.*?)\n\n {4}\S", inspect.getsource(Search), re.DOTALL)
    assert found
    return textwrap.dedent(found[1])


def test_it_is_nine_lines_and_the_documentation_has_the_same():
    assert len(example().splitlines()) == 9
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "searches.md").read_text(), re.DOTALL)
    assert [line for line in block.splitlines() if line.strip()] == example().splitlines()


@pytest.mark.slow
def test_it_runs(tmp_path, empty_store):
    (tmp_path / "search_lr.py").write_text(example())
    small = ("--epochs", "1", "--train-images", "200", "--set", "test_images=200", "--set", "backbone=resnet8")
    options = ("--data-root", str(ROOT / "data"), "--trials", "2", "--seeds", "1", *small)
    search = StudyFolder(tmp_path, "search_lr", ("search_lr.py",), empty_store)
    said = search.run_here(*options)
    assert "Search over: 2/2 tried" in said
    assert "2/2 done" in said
    trials = search.trials()
    assert set(trials) == {"mixup", "cutmix"}
    for trial in (trial for found in trials.values() for trial in found):
        assert 0.01 <= trial.params["lr"] <= 0.5
        assert trial.params["weight_decay"] in (0.0, 1e-4, 5e-4)
        assert 0 <= (trial.value or -1) <= 100
