"""trackio keeps what it is shown. It asks for an older pillow than ours, so it is installed in a folder of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SHOW = """
import json, sys
from pathlib import Path
import pytest
from mixlab.tracking.mirrors import opened
from tests.mixlab.tracking.test_mirrors import shown_to, trial
shown_to(opened(["trackio"], "study", Path(sys.argv[1]), pytest.fail))
import trackio
rows = {seed: trackio.SQLiteStorage.get_logs("study", trial(seed).name) for seed in (0, 1)}
print(json.dumps([[(row["step"], row["top1"]) for row in rows[seed]] for seed in rows]))
"""


def test_trackio_shows_what_it_was_given(tmp_path):
    packages = tmp_path / "packages"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", packages, "trackio"]
    if subprocess.run(["timeout", "300", *pip], capture_output=True).returncode:
        pytest.skip("trackio cannot be fetched")
    path = os.pathsep.join([str(packages), str(Path(__file__).parents[3]), *filter(None, sys.path)])
    environment = {**os.environ, "PYTHONPATH": path, "TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    shown = subprocess.run(
        [sys.executable, "-c", SHOW, str(tmp_path)], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout.splitlines()[-1]) == [
        [[number, 10.0 * number + seed] for number in (1, 2, 3)] for seed in (0, 1)
    ]
