"""Where Mixlab is installed, and whether a package of the same name hides a part of it."""

import base64
import hashlib
import importlib.util
import sys
import sysconfig
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mixlab.errors import BadInput

PACKAGE = Path(__file__).resolve().parent
# Installed, the three packages lie side by side; in the repository, mixlab is in platform/ and the others are above it.
HOMES = (PACKAGE.parent, PACKAGE.parent.parent)


def check() -> None:
    """Raise ``BadInput`` if a package of another project is imported in place of one of Mixlab's.

    ``trainables``, ``analysis`` and ``platform`` are common names: a folder of that name beside a study's script wins
    over the installed package, and a distribution that is installed later overwrites its files.
    """
    for name in ("trainables", "analysis"):
        if (found := _location(name)) is not None and found not in HOMES:
            raise BadInput(
                f"{found / name} hides Mixlab's own package {name!r}; "
                "rename or uninstall it, or start the command from another folder"
            )
    if (found := _location("platform")) != Path(sysconfig.get_path("stdlib")).resolve():
        raise BadInput(f"{found}/platform hides Python's own module 'platform'; rename it")
    for file in _overwritten():
        raise BadInput(f"{file} is no longer Mixlab's: another package of that name was installed over it")


def study_folders() -> list[Path]:
    """Return the folders that may hold the studies that come with Mixlab: the repository's, or the installed ones."""
    return [PACKAGE.parent.parent / "studies", *(Path(home, "share/mixlab/studies") for home in (sys.prefix, HOMES[0]))]


def _location(name: str) -> Path | None:
    """Return the folder that an import of ``name`` would take it from; None if there is no such package."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve().parent
    return Path(spec.origin).resolve().parent if spec.origin else None


def _overwritten() -> list[Path]:
    """Return the packages' first files that differ from the record of the installation; none in a repository."""
    try:
        recorded = distribution("mixlab").files or []
    except PackageNotFoundError:
        return []
    changed = []
    for file in recorded:
        if file.name == "__init__.py" and len(file.parts) == 2 and file.hash is not None:
            path = Path(str(file.locate()))
            digest = hashlib.sha256(path.read_bytes()).digest() if path.is_file() else b""
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                changed.append(path)
    return changed
