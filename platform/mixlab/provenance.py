"""How a result was obtained, as far as it is known where the study is started: commit, changes, versions."""

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from mixlab.uris import shown

PACKAGES = ("torch", "torchvision", "ray", "mlflow", "optuna", "numpy", "pandas")


@dataclass(frozen=True)
class Provenance:
    """Read once, where the study is started."""

    commit: str  # full hash, or "unknown" outside a repository
    dirty: bool
    diff: str  # against the commit; empty when clean
    versions: dict[str, str]
    constraints: str = ""  # see ``constraints_hash``

    @property
    def tags(self) -> dict[str, str]:
        """The tags that every run carries."""
        tags = {"mixlab.commit": self.commit, "mixlab.dirty": str(self.dirty).lower()}
        return {**tags, "mixlab.constraints": self.constraints} if self.constraints else tags

    @property
    def details(self) -> dict[str, str]:
        """The tags that only the study's run carries."""
        versions = ", ".join(f"{name} {number}" for name, number in self.versions.items())
        return {"mixlab.versions": versions, "mixlab.command": command()}


def collect(folder: Path) -> Provenance:
    """The provenance of the code in ``folder``. An image without git names its commit in ``MIXLAB_COMMIT``."""
    commit = _git(folder, "rev-parse", "HEAD") or os.environ.get("MIXLAB_COMMIT", "unknown")
    diff = _git(folder, "diff", "HEAD")
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return Provenance(commit, bool(diff), diff, versions, constraints_hash(folder))


def constraints_hash(folder: Path) -> str:
    """The first 12 hex digits of the SHA-256 of ``constraints.txt``; empty where there is none.

    An image names its own in ``MIXLAB_CONSTRAINTS``; elsewhere it is that of ``folder``.
    """
    file = Path(os.environ.get("MIXLAB_CONSTRAINTS") or folder / "constraints.txt")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else ""


def command() -> str:
    """The command line that was typed, as it can be typed again, but for passwords."""
    return shown(shlex.join(["python", *sys.argv]))


def _git(folder: Path, *arguments: str) -> str:
    """What git prints, or nothing where git or the repository is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
