"""The installed package: every import is a declared dependency, and the wheel brings the studies along."""

import contextlib
import re
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

from tests.pins import pinned
from tests.test_house import STUDIES, imported, modules

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OURS = {"mixlab", "trainables", "analysis"}


def normal(name: str) -> str:
    """Return the name of a distribution, without extras and versions, in the one spelling that compares."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=!~; ]", name)[0]).lower()


def test_every_import_is_a_declared_dependency():
    extras = [name for names in PROJECT["optional-dependencies"].values() for name in names]
    declared = {top for name in {normal(name) for name in [*PROJECT["dependencies"], *extras]} for top in tops_of(name)}
    for file in (*modules().values(), *STUDIES):
        tops = {name.partition(".")[0] for name in imported(file)} - OURS - sys.stdlib_module_names
        assert tops <= declared, f"{file.relative_to(ROOT)} imports {tops - declared}, of no declared package"


def tops_of(name: str) -> set[str]:
    """Return what a distribution lets one import; nothing if it is not installed."""
    with contextlib.suppress(PackageNotFoundError):
        found = distribution(name)
        listed = (found.read_text("top_level.txt") or "").split()
        files = (found.read_text("RECORD") or "").splitlines()
        return {*listed} or {re.split("[/,]", file)[0].removesuffix(".py") for file in files}
    return set()


def test_every_dependency_is_pinned():
    """But for trackio, which asks for an older pillow than the pinned one."""
    pins = {normal(line) for line in (ROOT / "constraints.txt").read_text().splitlines()}
    for names in [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]:
        assert {normal(name) for name in names} - {"mixlab", "trackio"} <= pins


def test_no_older_ray_or_mlflow_satisfies_the_package_than_those_whose_private_parts_are_tested():
    assert {f"ray[tune]>={pinned('ray')}", f"mlflow>={pinned('mlflow')}"} <= {*PROJECT["dependencies"]}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    (path,) = WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_packages_their_types_the_studies_and_the_batch_script(wheel):
    names = wheel.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.startswith("mixlab-")} == OURS
    assert {f"{package}/py.typed" for package in OURS} <= set(names)
    # The files that a package reads besides its modules are there, too.
    endings = (".css", ".js", ".csv", ".mplstyle")
    read = [file for package in OURS for file in (ROOT / package).rglob("*") if file.suffix in endings]
    assert {str(file.relative_to(ROOT)) for file in read} <= set(names)
    assert len(read) >= 4
    shared = {name.partition("/share/mixlab/")[2] for name in names} - {""}
    assert shared == {f"studies/{file.name}" for file in (ROOT / "studies").glob("*.py")} | {"slurm/study.sbatch"}


def test_the_wheel_says_its_licence_and_has_a_command(wheel):
    (metadata,) = [name for name in wheel.namelist() if name.endswith("dist-info/METADATA")]
    assert "License-Expression: Apache-2.0" in wheel.read(metadata).decode()
    licence = wheel.read(metadata.replace("METADATA", "licenses/LICENSE")).decode()
    assert "Version 2.0, January 2004" in licence
    scripts = wheel.read(metadata.replace("METADATA", "entry_points.txt")).decode()
    assert "mixlab = mixlab.__main__:main" in scripts
