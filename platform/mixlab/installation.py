"""Finds where Mixlab is installed and what came with it, and checks that no package of the same name hides a part."""

import importlib.util
import os
import sys
import sysconfig
from pathlib import Path

from mixlab.errors import BadInput, require_known

PACKAGE = Path(__file__).resolve().parent
# Installed, the three packages lie side by side; in the repository, mixlab is in platform/ and the others are above it.
HOMES = (PACKAGE.parent, PACKAGE.parent.parent)

command: str | None = None  # what was typed, if that was not the file of a study or a script

LIBRARIES = (  # that Mixlab imports, by the names of their packages, and its own
    *("PIL", "captum", "cv2", "filelock", "huggingface_hub", "matplotlib", "mlflow", "numpy", "optuna", "pandas"),
    *("psutil", "pyarrow", "pycocotools", "pydantic", "ray", "requests", "rich", "safetensors", "scipy", "sqlalchemy"),
    *("tabulate", "timm", "torch", "torchvision", "tqdm", "yaml", "analysis", "trainables"),
)


def require_free_names() -> None:
    """Raise ``BadInput`` if a file beside the script, such as itself, is imported in place of a library."""
    taken = {*LIBRARIES, *sys.stdlib_module_names} - {"test"}  # nobody imports Python's own tests
    for file in sorted(Path(sys.path[0]).glob("*.py")):
        if file.stem in taken:
            raise BadInput(f"{str(file)!r} hides the library {file.stem!r} from all that import it: rename the file")


def check() -> None:
    """Raise ``BadInput`` if a package of another project is imported in place of one of Mixlab's.

    ``trainables``, ``analysis`` and ``platform`` are common names: a folder of that name next to a study's script wins
    over the installed package.
    """
    for name in ("trainables", "analysis"):
        if (found := _location(name)) is not None and found not in HOMES:
            raise BadInput(
                f"{found / name} hides Mixlab's own package {name!r}; "
                "rename or uninstall it, or start the command from another folder"
            )
    if (found := _location("platform")) != Path(sysconfig.get_path("stdlib")).resolve():
        raise BadInput(f"{found}/platform hides Python's own module 'platform'; rename it")


def studies() -> dict[str, Path]:
    """Return the file of every study by its name; one in ``studies/`` of the current folder wins."""
    found: dict[str, Path] = {}
    for folder in (Path("studies"), *_shared("studies")):
        for file in sorted(folder.glob("*.py")):
            found.setdefault(file.stem, file)
    return found


def study_file(name: str) -> Path:
    """Return the file of a study, given by its name or by its path; raise ``BadInput`` if there is none."""
    if name.endswith(".py") and os.path.isfile(name):
        return Path(name)
    found = studies()
    require_known("study", name, [*found, *map(str, Path(name).parent.glob("*.py"))])
    return found[name]


def slurm_script() -> Path:
    """Return the batch script that comes with Mixlab."""
    return next(folder / "study.sbatch" for folder in _shared("slurm") if folder.is_dir())


def _shared(name: str) -> list[Path]:
    installed = (Path(home, "share", "mixlab", name) for home in (sys.prefix, PACKAGE.parent))
    return [PACKAGE.parent.parent / name, *installed]


def _location(name: str) -> Path | None:
    """Return the folder from which ``name`` would be imported; None if there is no such package."""
    spec = importlib.util.find_spec(name)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations))).resolve().parent
    return Path(spec.origin).resolve().parent if spec.origin else None
