"""The saved views are written in the form that the pages of the installed MLflow read."""

import json
from pathlib import Path

import mlflow
import pytest

from mixlab.tracking import views
from tests.pins import pinned

PAGES = Path(mlflow.__file__).parent / "server" / "js" / "build"
PLAN = {"metric": "test_top1_median10", "preset": "paper"}


@pytest.fixture(scope="module")
def pages() -> str:
    """Return every script of MLflow's pages that mentions a saved view."""
    scripts = (file.read_text(encoding="utf-8") for file in PAGES.rglob("*.js"))
    return "\n".join(text for text in scripts if "selectedColumns" in text or views.TAG in text)


def test_the_pages_of_mlflow_know_every_word_of_a_view(pages):
    tags = views.offered(("study", "arm", "seed"), PLAN, "0123")
    found = [json.loads(value) for name, value in tags.items() if name.startswith(views.TAG)]
    assert [view["name"] for view in found] == ["study > arm > seed", "arms · paper"]
    words = {views.TAG, "viewStateShareKey", "runDateAndNestInfo"}
    for word in sorted(words.union(*(json.loads(view["state"]) for view in found))):
        reason = f"the pages of MLflow {mlflow.__version__} no longer know {word!r}"
        assert word in pages, f"{reason}, which those of {pinned('mlflow')}, the pin, do: change tracking/views.py"
