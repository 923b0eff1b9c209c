"""A driver lets go of Ray before it writes the report, and outlives that."""

import subprocess
import sys
from pathlib import Path

import pytest

# Ray ends a process, with a line of its own and the exit code 1, that drops one of its objects while it shuts down.
DROPS_OBJECTS = """
import sys, time
from pathlib import Path

from rich.console import Console

from mixlab import Options
from mixlab.launching.start import Start
from mixlab.spec.complete import complete
from tests.mixlab.regressor import Line

with Start("toy", complete(Line()), Options(storage="results"), Console(), Path("study.py")) as start:
    start.connect().result()
    import ray

    objects = [ray.put(number) for number in range(2000)]
    start.release()
    while objects:
        objects.pop()
        time.sleep(0.0005)
print("reported")
"""


@pytest.mark.slow
def test_a_report_that_drops_what_is_left_of_ray_is_written(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DROPS_OBJECTS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "reported\n", done.stderr
    assert done.returncode == 0
