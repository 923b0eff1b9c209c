"""The cost that a dry run states counts all that the same command would train."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from rich.console import Console

from mixlab import Options, run
from mixlab.errors import BadInput
from tests.toy import SEARCH, Toy


def cost_of(spec: Any, train: Toy, folder: Path) -> str:
    """Return what a dry run says of a study or search."""
    console = Console(record=True, width=200, file=io.StringIO())
    options = Options(dry_run=True, tracking_uri=f"sqlite:///{folder}/none.db", cpus_per_trial=1.0)
    assert run(spec, train, options, console=console).exit_code == 0
    return console.export_text()


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 16 + 2 * 2),  # the budget, then two winners on two fresh seeds; the toy takes a second a run
        ({"search_seeds": (1000, 1001, 1002)}, 3 * 16 + 2 * 2),
        ({"search_seeds": (1000, 1001), "budget": 10, "study": replace(SEARCH.study, seeds=range(6))}, 2 * 10 + 2 * 6),
    ],
)
def test_a_dry_run_of_a_search_counts_every_seed_and_the_confirmation(tmp_path, monkeypatch, changes, seconds):
    monkeypatch.chdir(tmp_path)
    assert f"Estimated cost: {seconds} s of training, " in cost_of(replace(SEARCH, **changes), Toy(), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("scheduler", "times"), [("asha", 1), ("none", 0)])
def test_a_cost_that_counts_what_may_be_stopped_early_is_called_the_most(tmp_path, scheduler, times):
    said = cost_of(replace(SEARCH, scheduler=scheduler), Toy(), tmp_path)
    assert said.count("The cost that follows is the most that there can be") == times
    assert ", with validation=0.1, evaluate=validation; then 2 winners on 2 fresh seeds" in said
    assert said.index("The winners' runs") < said.index("Every run: 9 epochs")


@pytest.mark.parametrize("spec", [SEARCH, SEARCH.study])
def test_a_dry_run_refuses_the_storage_that_the_start_would_refuse(tmp_path, spec):
    (file := tmp_path / "results").touch()
    options = Options(dry_run=True, tracking_uri=f"sqlite:///{tmp_path}/none.db", storage=str(file))
    with pytest.raises(BadInput, match=f"^--storage '{file}' cannot be read \\('{file}' is a file\\); give a folder"):
        run(spec, Toy(), options)


def test_an_estimate_that_fails_leaves_the_cost_unknown(tmp_path):
    toy = Toy()
    toy.estimate_seconds = Mock(side_effect=LookupError("no such\nnetwork"))
    said = cost_of(SEARCH.study, toy, tmp_path)
    assert "Cost unknown: the estimate of this trainable failed: LookupError: no such\n" in said
