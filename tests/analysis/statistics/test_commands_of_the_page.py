"""The commands above the figures of docs/statistics.md run, here with few studies, and print the tables of the page."""

import itertools
import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "statistics.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python (tests/benchmarks/\S+\.py)(.*)$", PAGE, re.MULTILINE)
FEW = {
    "tests/benchmarks/bench_error_rates.py": ("--studies", "2", "--power-studies", "2"),
    "tests/benchmarks/bench_sequential.py": ("--studies", "2", "--races", "1"),
}


def heads(text: str) -> set[tuple[str, ...]]:
    """Return the columns of every table in Markdown."""
    lines = text.splitlines()
    return {
        tuple(cell.strip() for cell in head.strip("|").split("|"))
        for head, rule in itertools.pairwise(lines)
        if head.startswith("|") and set(rule) <= set("|:- ") and rule.startswith("|")
    }


@pytest.mark.parametrize(("file", "options"), COMMANDS)
def test_a_command_prints_a_table_of_the_page(file, options, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str((ROOT / file).parent))
    monkeypatch.setattr(sys, "argv", [file, *options.split(), *FEW[file]])
    runpy.run_path(str(ROOT / file), run_name="__main__")
    printed = heads(capsys.readouterr().out)
    assert printed
    assert printed <= heads(PAGE)


def test_every_table_of_numbers_has_its_command():
    assert [file.rpartition("_")[2] for file, _ in COMMANDS] == 3 * ["rates.py"] + ["sequential.py"]
