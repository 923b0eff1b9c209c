"""The saved views of a study in MLflow's UI: each is a tag of the experiment that names columns, order and filter.

They are created once; a change that somebody makes to one in the UI stays. The form is that of MLflow 3.17 itself.
"""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

TAG = "mlflow.sharedViewState."
COMPARED = ("sd", "gain", "p_family", "n")  # the metrics of an arm's run besides the one that the study compares
HOW = "**Views**, at the top right, shows the study in several ways; its run holds the tables and plots."
SEARCH_COLUMNS = ("tags.`mixlab.state`", "tags.`mixlab.best`")
NAME, DESCRIPTION = "attributes.`Run Name`", "attributes.`Description`"
WIDTHS = {NAME: 280, DESCRIPTION: 360}  # pixels


def offered(levels: Sequence[str], plan: Mapping[str, Any], key: str) -> dict[str, str]:
    """Return the tags that make the page of an experiment useful: its views, and the purpose of the study.

    The plan is that of a study or a search, and its key is that in the tag ``mixlab.plan``.
    """
    metric = plan["metric"] if "metric" in plan else plan["objective"]
    columns = [f"metrics.`{metric}`"]
    columns += [f"metrics.`{name}`" for name in COMPARED] if "metric" in plan else SEARCH_COLUMNS
    # An arm's run is begun before those of its seeds, so that a page of many runs begins with the arms.
    tags = {TAG + levels[0]: _view(" > ".join(levels), columns, "attributes.start_time", True, "")}
    if "metric" in plan:
        of_plan = f"tags.`mixlab.level` = '{levels[1]}' and tags.`mixlab.plan` = '{key}'"
        tags[TAG + arms_key(key)] = _view(f"arms · {plan['preset']}", columns, columns[0], False, of_plan)
    return {**tags, "mlflow.note.content": f"{purpose()}\n\n{HOW}".strip()}


def purpose() -> str:
    """Return the first paragraph of the study's file; empty if it has none."""
    text = getattr(sys.modules["__main__"], "__doc__", None) or ""
    return text.strip().split("\n\n")[0]


def arms_key(plan: str) -> str:
    """Return the key of the view of a plan's arms."""
    return f"arms-{plan}"


def address(server: str, experiment_id: str, key: str) -> str:
    """Return the address of a view, for a browser."""
    page = f"#/experiments/{experiment_id}/runs?viewStateShareKey={key}&workflowType=machine_learning"
    return f"{server.rstrip('/')}/{page}"


def _view(name: str, columns: Sequence[str], order: str, rising: bool, condition: str) -> str:
    state = {
        "searchFilter": condition,
        "orderByKey": order,
        "orderByAsc": rising,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "selectedColumns": [*columns, DESCRIPTION],
        "columnOrder": [NAME, "runDateAndNestInfo", "duration", *columns, DESCRIPTION],
        "columnWidths": {**WIDTHS, **dict.fromkeys(columns, 90), columns[0]: 170},
    }
    now = int(time.time() * 1000)
    return json.dumps({"name": name, "createdAt": now, "updatedAt": now, "state": json.dumps(state)})
