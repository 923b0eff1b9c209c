"""What survives a killed driver and an MLflow outage: the checkpoints that Ray Tune keeps in the storage.

Each checkpoint holds, beside what the trainable saved, ``journal.json``: the metrics of every epoch so
far and the size of every file, by which a half-written checkpoint is known. Layout:

    STORAGE/STUDY/trials/LAUNCH/KEY/checkpoint_000001/{journal.json, training.pt, ...}

A launch is one start of the command; a trial that was interrupted has a folder in several of them.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs

from mixlab.errors import BadInput, first_line
from mixlab.uris import shown

JOURNAL = "journal.json"


@dataclass(frozen=True)
class Saved:
    """The newest complete checkpoint of a trial."""

    path: str  # on the storage's filesystem
    epochs: list[dict[str, Any]]  # metrics of each finished epoch


def filesystem_of(root: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """The file system of a folder or URI, and the path in it."""
    if "://" in root:
        filesystem, path = pyarrow.fs.FileSystem.from_uri(root)
    else:
        filesystem, path = pyarrow.fs.LocalFileSystem(), str(Path(root).absolute())
    return filesystem, path.rstrip("/")


class Storage:
    """The folder of one study, on a local disk or behind any URI that pyarrow knows; ``BadInput`` for other URIs."""

    def __init__(self, root: str, study: str) -> None:
        try:
            self.filesystem, path = filesystem_of(root)
        except (OSError, ValueError, NotImplementedError) as error:
            raise BadInput(f"--storage {shown(root)!r} cannot be opened: {shown(first_line(error))}") from None
        self.trials = f"{path}/{study}/trials"

    def newest(self) -> dict[str, Saved]:
        """By key, the checkpoint with the most finished epochs."""
        newest: dict[str, Saved] = {}
        for launch in self._folders(self.trials):
            for trial in self._folders(launch):
                for folder in self._folders(trial):
                    saved = self._read(folder)
                    key = trial.rsplit("/", 1)[-1]
                    if saved and (key not in newest or len(saved.epochs) > len(newest[key].epochs)):
                        newest[key] = saved
        return newest

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[Path]:
        """The folder ``path`` of this storage as a local one, copied only if it lies elsewhere."""
        if isinstance(self.filesystem, pyarrow.fs.LocalFileSystem):
            yield Path(path)
            return
        with tempfile.TemporaryDirectory() as folder:
            pyarrow.fs.copy_files(path, folder, self.filesystem, pyarrow.fs.LocalFileSystem())
            yield Path(folder)

    def forget(self, keys: set[str]) -> None:
        """Delete the checkpoints of these trials, and launches that are empty then."""
        for launch in self._folders(self.trials):
            trials = self._folders(launch)
            done = [trial for trial in trials if trial.rsplit("/", 1)[-1] in keys]
            for folder in [launch] if len(done) == len(trials) else done:
                self.filesystem.delete_dir(folder)

    def _folders(self, path: str) -> list[str]:
        selector = pyarrow.fs.FileSelector(path, allow_not_found=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(info.path for info in infos if info.type == pyarrow.fs.FileType.Directory)

    def _read(self, folder: str) -> Saved | None:
        """The checkpoint in ``folder``, or None where it is incomplete."""
        selector = pyarrow.fs.FileSelector(folder, allow_not_found=True)
        files = {info.base_name: info.size for info in self.filesystem.get_file_info(selector)}
        if JOURNAL not in files:
            return None
        try:
            with self.filesystem.open_input_stream(f"{folder}/{JOURNAL}") as stream:
                journal = json.loads(stream.read().decode())
        except (ValueError, FileNotFoundError):  # another driver of a search may just have replaced it by a newer one
            return None
        if any(files.get(name) != size for name, size in journal["files"].items()):
            return None
        return Saved(folder, journal["epochs"])


def read_epochs(folder: Path) -> list[dict[str, Any]]:
    """The metrics of every epoch that the checkpoint in ``folder`` holds."""
    return json.loads((folder / JOURNAL).read_text())["epochs"]


def write_epochs(folder: Path, epochs: list[dict[str, Any]]) -> None:
    """Complete the checkpoint in ``folder``: called after all its other files are written."""
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    (folder / JOURNAL).write_text(json.dumps({"epochs": epochs, "files": files}))
