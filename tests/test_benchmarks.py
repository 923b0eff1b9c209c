"""The record of a benchmark, and the page that `make bench` writes."""

import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "benchmarks"


@pytest.fixture
def runner(monkeypatch) -> SimpleNamespace:
    """Return the command that runs them all."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return SimpleNamespace(**runpy.run_path(str(FOLDER / "__main__.py")))


def test_every_benchmark_has_a_size(runner):
    assert set(runner.SIZES) == {file.stem.removeprefix("bench_") for file in FOLDER.glob("bench_*.py")}


def test_a_measurement_is_on_the_page_with_its_spread(runner, painted, tmp_path, monkeypatch):
    lines, page = tmp_path / "bench.jsonl", tmp_path / "performance.md"
    monkeypatch.setenv(runner.RECORD, str(lines))
    monkeypatch.setattr(sys, "argv", ["tests/benchmarks/bench_toy.py"])
    assert sys.modules["recording"].record("an epoch, theirs / ours", [3.0, 1.5, 2.0]) == 2
    measured: list[dict[str, Any]] = [json.loads(line) for line in lines.read_text().splitlines()]
    page.write_text(f"# Speed\n\n{runner.BEGIN}\nold\n{runner.END}\n\nThe end.\n")
    runner.write_page({"machine": runner.machine(), "measurements": measured}, page)
    text = page.read_text()
    assert "| toy         | an epoch, theirs / ours | 2 times  | 1.5 to 3   | 3        |" in text
    assert text.startswith("# Speed\n\n<!-- bench:begin -->\n")
    assert text.endswith("<!-- bench:end -->\n\nThe end.\n")
    assert "old" not in text
    assert page.with_suffix(".png").stat().st_size > 0
