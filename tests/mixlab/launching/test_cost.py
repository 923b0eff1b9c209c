"""The cost that a dry run states counts all that the same command would train."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mixlab import Options, run
from tests.toy import SEARCH, Toy


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 16 + 2 * 2),  # the budget, then two winners on two fresh seeds; the toy takes a second a run
        ({"search_seeds": (1000, 1001, 1002)}, 3 * 16 + 2 * 2),
        ({"search_seeds": (1000, 1001), "budget": 10, "study": replace(SEARCH.study, seeds=range(6))}, 2 * 10 + 2 * 6),
    ],
)
def test_a_dry_run_of_a_search_counts_every_seed_and_the_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], seconds: int
) -> None:
    monkeypatch.chdir(tmp_path)
    console = Console(record=True, width=200, file=io.StringIO())
    search = replace(SEARCH, **changes)
    options = Options(dry_run=True, tracking_uri=f"sqlite:///{tmp_path}/none.db", cpus_per_trial=1.0)
    assert run(search, Toy(), options, console=console).exit_code == 0
    assert f"Estimated cost: {seconds} s of training, " in console.export_text()
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_that_fails_leaves_the_cost_unknown(tmp_path: Path) -> None:
    def fail(settings: Any) -> float:
        raise LookupError("no such\nnetwork")

    toy = Toy()
    toy.estimate_seconds = fail  # type: ignore[method-assign]
    console = Console(record=True, width=200, file=io.StringIO())
    options = Options(dry_run=True, tracking_uri=f"sqlite:///{tmp_path}/none.db", cpus_per_trial=1.0)
    assert run(SEARCH.study, toy, options, console=console).exit_code == 0
    assert "Cost unknown: the estimate of this trainable failed: LookupError: no such\n" in console.export_text()
