"""The layout and the import rules that the design rests on, read from the files themselves."""

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"mixlab": ROOT / "platform" / "mixlab", "trainables": ROOT / "trainables", "analysis": ROOT / "analysis"}
STUDIES = sorted((ROOT / "studies").glob("*.py"))


def imported(path: Path) -> set[str]:
    """Dotted names of every module that a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def files(package: str) -> list[Path]:
    found = sorted(PACKAGES[package].rglob("*.py"))
    assert len(found) > 3
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize(
    ("package", "forbidden"),
    [
        ("trainables", {"ray", "mlflow", "mixlab", "analysis", "studies", "optuna"}),
        ("mixlab", {"trainables", "studies", "torchvision"}),
        ("analysis", {"mixlab", "studies"}),
    ],
)
def test_imports_flow_one_way(package: str, forbidden: set[str]) -> None:
    for path in files(package):
        assert not tops(path) & forbidden, path


def test_only_the_schedule_imports_ray_tune_and_only_tracking_writes_to_mlflow() -> None:
    for path in files("mixlab"):
        tune = {name for name in imported(path) if name.startswith("ray.tune")}
        assert not tune or path.name in ("schedule.py", "searcher.py"), path
        if "mlflow" in tops(path):
            assert path.name in ("tracker.py", "store.py"), path
    store = (ROOT / "platform" / "mixlab" / "tracking" / "store.py").read_text()
    assert not re.search(r"\.(log|set|create|update|delete)_", store)  # it reads alone


def test_platform_folder_never_hides_the_standard_module() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    assert [path.name for path in (ROOT / "platform").iterdir() if path.suffix != ".egg-info"] == ["mixlab"]


def test_studies_are_scripts_that_nothing_imports() -> None:
    assert not (ROOT / "studies" / "__init__.py").exists()
    for study in STUDIES:
        assert study.stem not in sys.stdlib_module_names
        assert tops(study) <= {"mixlab", "trainables", "collections", "typing"}, study
        assert 'if __name__ == "__main__":\n    main(study, ' in study.read_text()
    for package in PACKAGES:
        for path in files(package):
            assert not tops(path) & {study.stem for study in STUDIES}, path


def test_every_package_module_says_what_it_is() -> None:
    for package in PACKAGES:
        for path in files(package):
            assert ast.get_docstring(ast.parse(path.read_text())), path
