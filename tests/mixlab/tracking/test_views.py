"""The saved views are written in the form that the pages of the installed MLflow read."""

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import pytest

from mixlab.tracking import views
from tests.pins import pinned

PLAN = {"metric": "test_top1_median10", "preset": "paper"}


def views_of(levels: tuple[str, ...], plan: dict[str, str]) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the name and the state of each view, by its key."""
    tags = views.offered(levels, plan, "0123")
    found = {name.removeprefix(views.TAG): json.loads(value) for name, value in tags.items() if views.TAG in name}
    return {key: (view["name"], json.loads(view["state"])) for key, view in found.items()}


def test_the_pages_of_mlflow_know_every_word_of_a_view():
    folder = Path(mlflow.__file__).parent / "server" / "js" / "build"
    scripts = (file.read_text(encoding="utf-8") for file in folder.rglob("*.js"))
    pages = "\n".join(text for text in scripts if "selectedColumns" in text or views.TAG in text)
    states = [state for _, state in views_of(("study", "arm", "seed"), PLAN).values()]
    for word in sorted({views.TAG, "viewStateShareKey", "runDateAndNestInfo"}.union(*states)):
        reason = f"the pages of MLflow {mlflow.__version__} no longer know {word!r}"
        assert word in pages, f"{reason}, which those of {pinned('mlflow')}, the pin, do: change tracking/views.py"


def test_a_study_has_a_view_of_all_runs_and_one_of_its_arms_with_the_best_first():
    found = views_of(("study", "arm", "seed"), PLAN)
    names = {key: name for key, (name, _) in found.items()}
    assert names == {"study": "study > arm > seed", views.arms_key("0123"): "arms · paper"}
    metric = "metrics.`test_top1_median10`"
    columns = [metric, "metrics.`sd`", "metrics.`gain`", "metrics.`p_family`", "metrics.`n`"]
    (_, whole), (_, arms) = found.values()
    for state in (whole, arms):
        assert state["selectedColumns"] == [*columns, "attributes.`Description`"]
        assert state["columnOrder"][1:] == ["runDateAndNestInfo", "duration", *state["selectedColumns"]]
        assert (state["startTime"], state["lifecycleFilter"]) == ("ALL", "Active")
        assert state["columnWidths"][metric] == 170
        assert {state["columnWidths"][column] for column in columns[1:]} == {90}
    assert (whole["searchFilter"], whole["orderByKey"], whole["orderByAsc"]) == ("", "attributes.start_time", True)
    assert (arms["orderByKey"], arms["orderByAsc"]) == (metric, False)
    assert arms["searchFilter"] == "tags.`mixlab.level` = 'arm' and tags.`mixlab.plan` = '0123'"


def test_a_search_has_one_view_with_its_objective_and_the_state_of_its_trials():
    found = views_of(("search", "arm", "trial"), {"objective": "val_top1"})
    ((key, (name, state)),) = found.items()
    assert (key, name) == ("search", "search > arm > trial")
    assert state["selectedColumns"][:3] == ["metrics.`val_top1`", "tags.`mixlab.state`", "tags.`mixlab.best`"]


@pytest.mark.parametrize(
    ("doc", "begins"), [("\nWhat is asked.\nAnd more.\n\nDetails.", "What is asked.\nAnd more.\n\n"), (None, "")]
)
def test_the_page_says_what_the_study_is_for_and_where_to_look(monkeypatch, doc, begins):
    monkeypatch.setattr(sys.modules["__main__"], "__doc__", doc)
    assert views.offered(("study", "arm", "seed"), PLAN, "0123")["mlflow.note.content"] == begins + views.HOW


def test_the_address_of_a_view_is_one_of_the_servers_pages():
    page = "http://head:5000/#/experiments/7/runs?viewStateShareKey=arms-0123&workflowType=machine_learning"
    for server in ("http://head:5000", "http://head:5000/"):
        assert views.address(server, "7", views.arms_key("0123")) == page
