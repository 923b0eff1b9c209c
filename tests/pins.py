"""The versions that ``constraints.txt`` pins."""

from pathlib import Path


def pinned(package: str) -> str:
    """Return the version of a package."""
    lines = (Path(__file__).parents[1] / "constraints.txt").read_text().splitlines()
    found = [line.partition("==")[2].split()[0] for line in lines if line.startswith(f"{package}==")]
    assert len(found) == 1, package
    return found[0]
