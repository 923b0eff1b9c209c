"""The journal: the checkpoints that Ray Tune keeps in the storage survive a killed driver and an MLflow outage.

Each checkpoint holds, besides what the trainable saved, ``journal.json``: every epoch so far, and of every file the
size, by which a half-written checkpoint is recognised, and the SHA-256, by which a damaged one is. The layout is:

    STORAGE/STUDY/trials/LAUNCH/KEY/checkpoint_000001/{journal.json, training.pt, ...}

A launch is one start of the command; a trial that was interrupted has a folder in several of them. The checkpoint of
a run's last epoch holds its results alone: nothing goes on from there.
"""

import contextlib
import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

import pyarrow.fs

from mixlab.errors import BadInput, StorageLost, first_line, no_room, without_room
from mixlab.passwords import shown
from mixlab.processes import AWAY_SECONDS
from mixlab.spec import json_form
from mixlab.spec.epoch import Epoch, Refused, from_json

PAUSE_SECONDS = 2.0

JOURNAL = "journal.json"

Done = TypeVar("Done")


@dataclass(frozen=True)
class Saved:
    """The newest complete checkpoint of a trial."""

    path: str  # the path on the storage's file system
    epochs: list[Epoch]

    @property
    def complete(self) -> bool:
        """Return whether this is the checkpoint of the last epoch."""
        return self.epochs[-1].last

    @property
    def share(self) -> float:
        """Return the share of the training that it holds, from 0 to 1."""
        return self.epochs[-1].number / self.epochs[-1].of


def filesystem_of(root: str) -> tuple[pyarrow.fs.FileSystem, str]:
    """Return the file system of a folder or URI, and the path in it."""
    if "://" in root:
        filesystem, path = pyarrow.fs.FileSystem.from_uri(root)
        if not path.strip("/"):
            raise ValueError("it names no bucket or folder")
    else:
        filesystem, path = pyarrow.fs.LocalFileSystem(), str(Path(root).absolute())
    return filesystem, path.rstrip("/")


def usable(root: str) -> str:
    """Return what to give instead of a storage that cannot be used."""
    if root.startswith("s3:"):
        return "give a bucket that is there, and its key in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    return "give a folder, or a URI that pyarrow.fs knows"


class Storage:
    """The folder of one study, on a local disk or behind any URI that pyarrow knows; others raise ``BadInput``."""

    def __init__(self, root: str, study: str) -> None:
        try:
            self.filesystem, path = filesystem_of(root)
        except (OSError, ValueError, NotImplementedError) as error:
            reason = first_line(error).rstrip(".")
            raise BadInput(f"--storage {shown(root)!r} cannot be opened ({reason}); {usable(root)}") from None
        self.root = shown(root)  # as it was given, without passwords
        self.folder = f"{path}/{study}"
        self.trials = f"{self.folder}/trials"

    def newest(self, only: str = "", damaged: Collection[str] = ()) -> dict[str, Saved]:
        """Return for each trial, by key, the checkpoint with the most finished epochs; wait as :meth:`patiently`.

        All are read, which a server makes slow, unless the key of the ``only`` one that is wanted is given. Those at
        ``damaged`` paths are passed over.
        """
        return self.patiently(lambda: self._newest(only, damaged))

    def _newest(self, only: str, damaged: Collection[str]) -> dict[str, Saved]:
        newest: dict[str, Saved] = {}
        for trial in [trial for launch in self._folders(self.trials) for trial in self._folders(launch)]:
            key = Path(trial).name
            if only and key != only:
                continue
            folders = [folder for folder in self._folders(trial) if folder not in damaged]
            for saved in filter(None, map(self._read, folders)):
                if key not in newest or len(saved.epochs) > len(newest[key].epochs):
                    newest[key] = saved
        return newest

    @contextlib.contextmanager
    def open(self, path: str, names: Sequence[str] | None = None) -> Iterator[Path]:
        """Yield the folder of a checkpoint as a local one; if it lies elsewhere, it is copied.

        Only files whose names fit one of the patterns ``names`` are wanted, by default all. ``ConnectionError`` is
        raised where a server does not give them.
        """
        if isinstance(self.filesystem, pyarrow.fs.LocalFileSystem):
            yield Path(path)
            return
        with tempfile.TemporaryDirectory() as folder:
            try:
                self._fetch(path, names, Path(folder))
            except OSError as error:
                if error.errno is not None:  # as where something is missing, or a disk is full
                    raise
                raise ConnectionError(f"--storage {self.root!r} cannot be read ({shown(str(error))})") from None
            yield Path(folder)

    @contextlib.contextmanager
    def to_resume(
        self, key: str, path: str | None, damaged: tuple[str, ...] = ()
    ) -> Iterator[tuple[Path | None, tuple[str, ...]]]:
        """Yield the checkpoint at ``path`` as :meth:`open` does; if it is damaged, the newest that is not, or None.

        The paths of those that are ``damaged`` are yielded, too. A damaged file has its size, as after a power cut or
        from a failing disk, but not the content that was written.
        """
        if path is None:
            yield None, damaged
            return
        with self.open(path) as folder:
            if intact(folder):
                yield folder, damaged
                return
        damaged = (*damaged, path)
        earlier = self.newest(key, damaged).get(key)
        with self.to_resume(key, earlier.path if earlier else None, damaged) as found:
            yield found

    def _fetch(self, path: str, names: Sequence[str] | None, folder: Path) -> None:
        for name in self._sizes(path):
            if names is None or any(fnmatch(name, pattern) for pattern in names):
                target = folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                pyarrow.fs.copy_files(f"{path}/{name}", target, self.filesystem, pyarrow.fs.LocalFileSystem())

    def patiently(self, act: Callable[[], Done]) -> Done:
        """Return what ``act``, which writes or reads a checkpoint, returns; wait while the server of a URI is away.

        Raises:
            StorageLost: it has been away for ``AWAY_SECONDS``, or a folder cannot be used, or there is no room.
        """
        place = f"--storage {self.root!r}"
        until = time.monotonic() + (AWAY_SECONDS if "://" in self.root else 0.0)
        while True:
            try:
                return act()
            except FileNotFoundError:  # another driver of a search may just have replaced it by a newer one
                raise
            except OSError as error:
                if no_room(error):
                    raise StorageLost(without_room(place, error)) from error
                if time.monotonic() >= until:
                    raise StorageLost(f"{place} cannot be used ({first_line(error)})") from error
            time.sleep(PAUSE_SECONDS)

    def forget(self, keys: set[str], launch: str = "") -> None:
        """Delete the checkpoints of these trials, and launches that had no others.

        This driver's own ``launch`` is also deleted if it is empty; another driver's may just have been created.
        """
        for folder in self._folders(self.trials):
            trials = self._folders(folder)
            done = [trial for trial in trials if Path(trial).name in keys]
            whole = len(done) == len(trials) and (trials or Path(folder).name == launch)
            for each in [folder] if whole else done:
                with contextlib.suppress(FileNotFoundError):  # another driver of a search forgets the same
                    self.filesystem.delete_dir(each)

    def _folders(self, path: str) -> list[str]:
        try:
            infos = self.filesystem.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True))
        except OSError as error:
            if "://" in self.root:
                raise  # a server may be away for a while
            raise BadInput(
                f"--storage {self.root!r} cannot be read ({first_line(error)}); {usable(self.root)}"
            ) from None
        return sorted(info.path for info in infos if info.type == pyarrow.fs.FileType.Directory)

    def _sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of each file in ``folder`` and below it, by its path from there."""
        infos = self.filesystem.get_file_info(pyarrow.fs.FileSelector(folder, allow_not_found=True, recursive=True))
        files = (info for info in infos if info.type == pyarrow.fs.FileType.File)
        return {info.path.removeprefix(f"{folder}/"): info.size for info in files}

    def _read(self, folder: str) -> Saved | None:
        """Return the checkpoint in ``folder``, or None if it is incomplete."""
        files = self._sizes(folder)
        try:
            with self.filesystem.open_input_stream(f"{folder}/{JOURNAL}") as stream:
                journal = json.loads(stream.read())
            whole = all(files.get(name) == size for name, size in journal["files"].items())
            epochs = [from_json(epoch) for epoch in journal["epochs"]]
        # Another driver of a search may just have replaced it by a newer one, or another version may have written it.
        except (FileNotFoundError, ValueError, TypeError, LookupError, AttributeError):
            return None
        return Saved(folder, epochs) if whole and epochs else None


def read_epochs(folder: Path) -> list[Epoch]:
    """Return every epoch that the checkpoint in ``folder`` holds."""
    journal = json.loads((folder / JOURNAL).read_bytes())
    return [from_json(epoch) for epoch in journal["epochs"]]


def intact(folder: Path) -> bool:
    """Return whether every file of the checkpoint in ``folder`` is as it was written."""
    written = json.loads((folder / JOURNAL).read_bytes()).get("sha256", {})
    return all(_digest(folder / name) == digest for name, digest in written.items())


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_epochs(folder: Path, epochs: Sequence[Epoch]) -> None:
    """Complete the checkpoint in ``folder``, once all its other files are written; ``Refused`` if one has our name."""
    if (folder / JOURNAL).exists():
        raise Refused(f"every checkpoint has a {JOURNAL} of Mixlab's own: save the trainable's under another name")
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    content = {
        "epochs": [vars(epoch) for epoch in epochs],
        "files": {name: path.stat().st_size for name, path in files.items()},
        "sha256": {name: _digest(path) for name, path in files.items()},
    }
    (folder / JOURNAL).write_text(json_form.dumps(content), encoding="utf-8")
