"""Launches without Ray, of which the report is a table alone."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from analysis import report
from analysis.ablation_table import study_table
from analysis.words.cells import tidy
from analysis.words.conclusions import Summary
from analysis.words.rendering import markdown
from mixlab import Options, Search, Study, run
from mixlab.cluster import schedule
from mixlab.cluster.resources import Share
from mixlab.launching.start import Start
from mixlab.provenance import Provenance
from tests.mixlab.without_ray import Turn, in_this_process
from tests.toy import Toy


def table_alone(uri: str, study: str, plan: dict[str, Any], out: Path) -> report.StudyReport:
    """Write ``table.md`` and ``table.csv``, and an empty page: all else takes twice as long, and has its own tests."""
    table = study_table(uri, study, plan)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(markdown(study, table.levels), encoding="utf-8")
    tidy(table.levels).to_csv(out / "table.csv", index=False)
    (out / "report.html").touch()
    files, tables = [out / "table.md", out / "table.csv"], [level.table for level in table.levels]
    return report.StudyReport(table.text, tables, [], files, out / "report.html", Summary({}, "a table"), {})


@pytest.fixture
def one_process(monkeypatch) -> None:
    """Let a launch run its trials in this process, one by one."""
    monkeypatch.setattr(Start, "share_of", lambda *_: Share(cpus=1, gpus=0))
    monkeypatch.setattr(Start, "provenance", Provenance("0123456789abcdef", dirty=False, diff="", versions={}))
    monkeypatch.setattr(schedule, "run", in_this_process())


@pytest.fixture
def launch(one_process, tmp_path, tracking_uri, monkeypatch) -> Callable[..., str]:
    """Return a function that launches a study or search, requires its exit code, and returns what it said."""
    monkeypatch.setattr(report, "report", table_alone)

    def launched(spec: Study | Search, begins: Turn = lambda *_: None, code: int = 0, **options: Any) -> str:
        monkeypatch.setattr(schedule, "run", in_this_process(begins))
        said = io.StringIO()
        given = Options(**{"tracking_uri": tracking_uri, "storage": str(tmp_path / "results"), **options})
        result = run(spec, Toy(), given, console=Console(file=said, width=200))
        assert result.exit_code == code, said.getvalue()
        return said.getvalue()

    return launched
