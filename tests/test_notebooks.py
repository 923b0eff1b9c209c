"""The notebooks of the documentation run from top to bottom, on the real images that ``make test`` fetches."""

import json
import os
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)
def test_no_output_is_committed(file):
    cells = [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == "code"]
    assert cells
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


@pytest.mark.slow
def test_the_first_study_trains_and_draws(tmp_path, monkeypatch):
    folder = tmp_path / "docs" / "notebooks"  # the notebook writes to the folder of a repository, here a new one
    folder.mkdir(parents=True)
    (tmp_path / "data").symlink_to(ROOT / "data")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(ROOT / "platform"), str(ROOT))))
    notebook: Any = nbformat.read(ROOT / "docs" / "notebooks" / "first_study.ipynb", as_version=4)
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(folder)}}).execute()

    shown = [output["data"] for cell in notebook.cells for output in cell.get("outputs", ()) if "data" in output]
    table, runs = (data["text/html"] for data in shown if 'class="dataframe"' in data.get("text/html", ""))
    assert all(arm in table for arm in ("no mixing", "mixup", "cutmix"))
    assert runs.count("<td>done</td>") == 9
    assert sum("image/png" in data for data in shown) == 1
    assert (tmp_path / "mlflow.db").exists()
    assert (tmp_path / "results" / "notebook" / "paper" / "table.csv").exists()
