"""An evaluation on a Ray cluster of its own that meets a time limit keeps what is done, and has the numbers of here."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis import occlusion
from tests.servers.program import Program, environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SECONDS = 300.0  # until the first result: before, an evaluation says nothing


def test_what_is_done_is_kept_and_has_the_numbers_of_an_evaluation_here(trained, tmp_path, out, monkeypatch):
    """The checkpoints are read from MLflow alone: the command runs in a folder of its own."""

    def done() -> dict[str, Any]:
        file = out / "evaluations.json"
        return json.loads(file.read_text()) if file.exists() else {}

    # Seconds a network, so that some are left.
    options = [trained.study, "--images", "120", "--draws", "2", "--tracking-uri", trained.uri]
    options += ["--data-root", str(ROOT / "data")]
    command = [sys.executable, str(ROOT / "analysis" / "occlusion.py"), *options, "--out", str(out)]
    with Program([*command, "--address", "local"], tmp_path, "said.txt", environment()) as evaluation:
        evaluation.until(done, SECONDS)
        evaluation.interrupt(signal.SIGTERM)
        said = evaluation.finish(code=130)
    assert f"occlusion.py: interrupted; evaluated {len(done())} of 4 networks" in said, said
    assert "Traceback" not in said
    assert [file.name for file in out.iterdir()] == ["evaluations.json"]

    monkeypatch.undo()  # the real images are back in place of noise
    assert occlusion.main([*options, "--out", str(tmp_path / "here")]) == 0
    here = json.loads((tmp_path / "here" / "evaluations.json").read_text())
    assert len(here) == 4
    assert done().items() <= here.items()
