"""Records how a result was obtained, as far as is known where the study is started: commit, changes, versions."""

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from mixlab.tracking import names
from mixlab.uris import typed

PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color")  # a plain patch, whatever program shows the user changes
# Variables that tell a hook of git which repository it is in, or change how git reads paths and changes.
OF_GIT = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_NAMESPACE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE"),
    *("GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS", "GIT_DIFF_OPTS"),
)
PACKAGED = {"site-packages", "dist-packages"}  # the folders of packages with a version
PACKAGES = ("torch", "torchvision", "ray", "mlflow", "optuna", "numpy", "pandas")


@dataclass(frozen=True)
class Provenance:
    """The provenance of a result, read once where the study is started."""

    commit: str  # full hash, or "unknown" outside a repository
    dirty: bool  # True unless known to be clean, so also without a commit
    diff: str  # the changes since the commit; empty when clean, or when they cannot be read
    versions: dict[str, str]
    constraints: str = ""  # see ``constraints_hash``

    @property
    def patch(self) -> str:
        """Return the first 12 hex digits of the SHA-256 of the changes; empty when clean, ``unknown`` when unknown."""
        if not self.diff:
            return "unknown" if self.dirty else ""
        return hashlib.sha256(self.diff.encode()).hexdigest()[:12]

    @property
    def tags(self) -> dict[str, str]:
        """Return the tags that every run carries."""
        tags = {
            names.COMMIT: self.commit,
            names.DIRTY: str(self.dirty).lower(),
            names.PATCH: self.patch or "none",
            names.CONSTRAINTS: self.constraints,
            names.VERSIONS: ", ".join(f"{name} {number}" for name, number in self.versions.items()),
        }
        return {name: text for name, text in tags.items() if text}


def collect(study_file: Path, trainable: object = None) -> Provenance:
    """Return the provenance of the code that runs: of mixlab, of the package of the trainable, and of the study's file.

    The commit is that of the trainable's repository, else of mixlab's, else of the study's. Sources outside any
    repository count as changes: the study's file, that of the trainable, and what is imported from their folders. The
    changes are unknown where git cannot show them, as on a disk that is too slow, and for the cells of a notebook,
    which have no file. An image without git names its commit in ``MIXLAB_COMMIT``, and pip notes that of a package that
    it installs from a repository.
    """
    module = sys.modules.get(getattr(trainable, "__module__", None) or "")
    own = getattr(module, "__file__", None)
    files = [Path(file).absolute() for file in (own, __file__, study_file) if file]
    roots = {file: _repository(file) for file in files}
    known = list(dict.fromkeys(root for root in roots.values() if root is not None))
    image = "" if known else os.environ.get("MIXLAB_COMMIT", "")
    commit = image or next(filter(None, (_commit(file, root) for file, root in roots.items())), "")
    patches = [patch for root in known for patch in _changes(root)]
    if not image:  # all that an image holds belongs to its commit
        patches += _outside([file for file, root in roots.items() if root is None])
    if not study_file.is_file():
        patches.append(None)
    return Provenance(
        commit=commit or "unknown",
        dirty=not commit or any(patch != "" for patch in patches),
        diff="" if None in patches else "".join(filter(None, patches)),
        versions={"python": platform.python_version(), **installed(PACKAGES)},
        constraints=constraints_hash(known[0] if known else Path.cwd()),
    )


def _repository(file: Path) -> Path | None:
    """Return the root of the repository that holds ``file``; None if there is none, or git ignores the file."""
    folder = file.absolute().parent
    root = (_git(folder, "rev-parse", "--show-toplevel") or "").strip()
    if not root or (_git(folder, "check-ignore", str(file.absolute())) or "").strip():
        return None
    return Path(root)


def _commit(file: Path, root: Path | None) -> str:
    """Return the commit of the file's repository, or of mixlab's as pip has installed it; empty if unknown."""
    if root is not None:
        return (_git(root, "rev-parse", "HEAD") or "").strip()
    return _installed_commit(file) if file == Path(__file__).absolute() else ""


def _installed_commit(file: Path) -> str:
    """Return the commit that pip noted when it installed mixlab, one of whose files is given; empty if it did not."""
    if not PACKAGED & set(file.parts):
        return ""
    with contextlib.suppress(PackageNotFoundError, KeyError, TypeError, ValueError):
        noted = json.loads(distribution("mixlab").read_text("direct_url.json") or "{}")  # PEP 610
        return str(noted["vcs_info"]["commit_id"])
    return ""


def _outside(files: Iterable[Path]) -> list[str | None]:
    """Return patches that add files outside any repository and what is imported from their folders; None if unknown.

    A package with a version, and Python's own library, are left out.
    """
    loose = [file for file in files if not PACKAGED & set(file.parts)]
    apart = [file for file in loose if not file.is_relative_to(sysconfig.get_path("stdlib"))]
    return [_added(source.parent, source.name) for source in _sources(apart)]


def _sources(files: Sequence[Path]) -> list[Path]:
    """Return the files that exist, and what was imported from their folders, in the order of their paths."""
    folders = {str(file.parent) for file in files}
    # A lazy module is imported once an attribute is asked for: its ``__dict__`` is not.
    imported = [getattr(module, "__dict__", {}).get("__file__") for module in [*sys.modules.values()]]
    every = [file for file in imported if isinstance(file, str) and file.endswith(".py")]
    neighbours = [Path(file) for file in every if os.path.dirname(file) in folders]
    return sorted({file for file in (*files, *neighbours) if file.is_file()})


def _changes(root: Path) -> list[str | None]:
    """Return patches of the repository's files since its commit, and of untracked sources; None if unknown."""
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.py")
    added = [_added(root, name) for name in untracked.split("\0") if name] if untracked is not None else [None]
    return [_git(root, "diff", *PLAIN, "HEAD"), *added]


def _added(folder: Path, name: str) -> str | None:
    """Return a file as a patch that adds it; None if it cannot be read."""
    return _git(folder, "diff", *PLAIN, "--no-index", "--", os.devnull, name)


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of each of the packages that is installed."""
    versions = {}
    for name in packages:
        with contextlib.suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def constraints_hash(folder: Path) -> str:
    """Return the first 12 hex digits of the SHA-256 of ``constraints.txt``; empty where there is none.

    An image names its own in ``MIXLAB_CONSTRAINTS``; elsewhere it is that of ``folder``.
    """
    file = Path(os.environ.get("MIXLAB_CONSTRAINTS") or folder / "constraints.txt")
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else ""


def command() -> str:
    """Return the command line in a form that can be typed again, without passwords; a notebook has none."""
    if not hasattr(sys.modules["__main__"], "__file__"):
        return "mixlab.run(...)"
    return typed("python", *sys.argv)


def _environment_of_git() -> dict[str, str]:
    """Return this process's environment without variables that would send git to another repository."""
    return {name: value for name, value in os.environ.items() if name not in OF_GIT}


def _git(folder: Path, *arguments: str) -> str | None:
    """Return git's output; None if git or the repository is missing, or fails. Bytes not in UTF-8 are replaced."""
    try:
        command = ["git", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=30, env=_environment_of_git())
    except (OSError, subprocess.SubprocessError):
        return None
    # "diff --no-index" exits with 1 if there is a difference, "check-ignore" if there is none.
    return done.stdout.decode("utf-8", errors="replace") if done.returncode in (0, 1) else None
