"""An evaluation on a Ray cluster of its own that meets a time limit keeps what is done."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.servers.program import Program, environment

ROOT = Path(__file__).parents[2]
SECONDS = 300.0  # until the first result: before, an evaluation says nothing


@pytest.mark.slow
def test_what_is_done_is_kept_and_the_rest_is_said(own_trained: Any, tmp_path: Path) -> None:
    study, _, _ = own_trained
    out = tmp_path / "out"

    def done() -> int:
        file = out / "evaluations.json"
        return len(json.loads(file.read_text())) if file.exists() else 0

    # Seconds a network, so that some are left.
    options = ["--address", "local", "--images", "120", "--draws", "2", "--tracking-uri", study.uri, "--out", str(out)]
    command = [sys.executable, str(ROOT / "analysis" / "occlusion.py"), study.study, *options]
    command += ["--data-root", str(ROOT / "data")]
    with Program(command, tmp_path, "said.txt", environment()) as evaluation:
        evaluation.until(done, SECONDS)
        evaluation.interrupt(signal.SIGTERM)
        said = evaluation.finish(code=130)
    assert f"occlusion.py: interrupted; {done()} of 4 networks are evaluated" in said, said
    assert "Traceback" not in said
    assert [file.name for file in out.iterdir()] == ["evaluations.json"]
