"""A study says what it is without importing torch, which takes seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[2] / "studies"
HELP = """
import runpy, sys
sys.argv[1:] = ["--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    print(sorted({"torch", "ray", "mlflow", "optuna", "pandas"} & set(sys.modules)))
"""


@pytest.mark.parametrize("name", ["ablation_cifar100", "table3_vits", "search_zeta_alpha"])
def test_help_waits_for_nothing(name: str) -> None:
    command = [sys.executable, "-c", HELP.replace("sys.argv[0]", repr(str(STUDIES / f"{name}.py")))]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("usage: ")
    assert said.splitlines()[-1] == "[]"
