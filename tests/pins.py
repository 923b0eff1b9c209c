"""The versions that ``constraints.txt`` pins."""

from pathlib import Path
from types import ModuleType


def pinned(package: str) -> str:
    """Return the version of a package."""
    lines = (Path(__file__).parents[1] / "constraints.txt").read_text().splitlines()
    found = [line.partition("==")[2].split()[0] for line in lines if line.startswith(f"{package}==")]
    assert len(found) == 1, package
    return found[0]


def require(holds: bool, what: str, package: ModuleType, file: str) -> None:
    """Require that a private part of a package is as ``file`` takes it to be."""
    name = package.__name__
    versions = f"as in {name} {pinned(name)}, no longer holds in {name} {package.__version__}"
    assert holds, f"{what}, {versions}: change {file}"
