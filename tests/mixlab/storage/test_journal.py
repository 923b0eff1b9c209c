"""Checkpoints in the storage: the newest complete one is found, half-written ones are not."""

import math
import shutil
from pathlib import Path
from unittest.mock import Mock

import pyarrow.fs
import pytest

from mixlab import Epoch
from mixlab.errors import BadInput
from mixlab.launching.session import KEPT
from mixlab.storage.journal import JOURNAL, Storage, read_epochs, write_epochs
from mixlab.tracking.writer import is_outage
from tests.endings import refused
from tests.strict_json import strict


def checkpoint(root: Path, launch: str, key: str, index: int, epochs: int) -> Path:
    folder = root / "study" / "trials" / launch / key / f"checkpoint_{index:06}"
    (folder / "model").mkdir(parents=True)
    for name in ("training.pt", "model/weights"):
        (folder / name).write_bytes(b"x" * (100 + epochs))
    write_epochs(folder, [Epoch(number, 9, {"loss": 1.0}) for number in range(1, epochs + 1)])
    return folder


def test_newest_is_the_one_with_most_epochs_over_all_launches(tmp_path):
    checkpoint(tmp_path, "20260101-1", "aa", 4, epochs=5)
    checkpoint(tmp_path, "20260102-1", "aa", 0, epochs=6)
    checkpoint(tmp_path, "20260103-1", "aa", 0, epochs=2)
    checkpoint(tmp_path, "20260103-1", "bb", 0, epochs=1)
    (tmp_path / "study" / "trials" / ".DS_Store").touch()
    newest = Storage(str(tmp_path), "study").newest()
    assert {key: len(saved.epochs) for key, saved in newest.items()} == {"aa": 6, "bb": 1}
    assert "20260102-1" in newest["aa"].path


def test_for_one_trial_no_checkpoint_of_another_is_read(tmp_path, monkeypatch):
    """In a bucket, each trial that a search resumes would wait for the journals of a thousand others."""
    for launch, key in (("l1", "aa"), ("l1", "bb"), ("l2", "aa")):
        checkpoint(tmp_path, launch, key, 0, epochs=1)
    read: list[str] = []
    monkeypatch.setattr(Storage, "_read", lambda _, folder: read.append(folder))
    assert Storage(str(tmp_path), "study").newest(only="aa") == {}
    assert [Path(folder).parts[-3:-1] for folder in read] == [("l1", "aa"), ("l2", "aa")]


NO_JOURNALS = (
    *('{"files": {"training.pt": 1', "null", "{}", "[]", '{"files": [], "epochs": []}', '{"files": {}, "epochs": []}'),
    *('{"files": {}, "epochs": [{}]}', '{"files": {}, "epochs": [3]}', '{"files": {}, "epochs": [{"metrics": []}]}'),
)


def test_half_written_checkpoints_are_passed_over(tmp_path):
    checkpoint(tmp_path, "l", "aa", 0, epochs=1)
    (checkpoint(tmp_path, "l", "aa", 1, epochs=2) / "training.pt").write_bytes(b"x" * 7)
    (checkpoint(tmp_path, "l", "aa", 2, epochs=3) / "training.pt").unlink()
    (checkpoint(tmp_path, "l", "aa", 3, epochs=4) / "journal.json").unlink()
    (checkpoint(tmp_path, "l", "aa", 9, epochs=5) / "model" / "weights").write_bytes(b"x" * 7)
    for index, journal in enumerate(NO_JOURNALS, 10):  # torn, or of another version
        (checkpoint(tmp_path, "l", "aa", index, epochs=6) / "journal.json").write_text(journal)
    assert len(Storage(str(tmp_path), "study").newest()["aa"].epochs) == 1


def test_a_metric_that_is_not_finite_comes_back_from_a_journal_that_any_program_can_read(tmp_path):
    metrics = {"loss": math.inf, "gain": -math.inf, "accuracy": 0.1}
    write_epochs(tmp_path, [Epoch(1, 2, metrics, {"data": "NaN"}, {"lam": (math.inf, 0.5)})])
    strict((tmp_path / "journal.json").read_text())
    assert read_epochs(tmp_path) == [Epoch(1, 2, metrics, {"data": "NaN"}, {"lam": (math.inf, 0.5)})]


def test_a_folder_that_cannot_be_read_is_named(tmp_path):
    trials = tmp_path / "study" / "trials"
    trials.parent.mkdir()
    trials.write_text("a file")
    with pytest.raises(BadInput, match=r"--storage '.*' cannot be read \(.*Not a directory\); give a folder"):
        Storage(str(tmp_path), "study").newest()
    trials.unlink()
    trials.symlink_to(trials)
    with pytest.raises(BadInput, match=r"cannot be read \(.*Too many levels of symbolic links\)"):
        Storage(str(tmp_path), "study").newest()


def test_nothing_stored_is_nothing_found(tmp_path):
    storage = Storage(str(tmp_path / "new"), "study")
    assert storage.newest() == {}
    storage.forget({"aa"})


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("file:///", "it names no bucket or folder"),
        ("ftp://me:secret@host/x", "Unrecognized filesystem type in URI: ftp://me:***@host/x"),
    ],
)
def test_a_uri_that_is_no_storage_is_a_sentence(uri, why):
    with refused(f"--storage '{uri.replace('secret', '***')}' cannot be opened ({why}); give a folder, or a URI"):
        Storage(uri, "study")


@pytest.mark.parametrize("error", [OSError("AWS Error NETWORK_CONNECTION"), FileNotFoundError(2, "it is gone")])
def test_what_a_server_does_not_give_is_an_outage_and_what_is_not_there_is_none(tmp_path, error):
    """Otherwise the files of an ended run would never reach MLflow."""
    storage = Storage(f"file://{tmp_path}", "study")
    storage.filesystem = Mock(get_file_info=Mock(side_effect=error))
    outage = error.errno is None
    said = (
        rf"^--storage 'file://{tmp_path}' cannot be read \(AWS Error NETWORK_CONNECTION\)$" if outage else "it is gone"
    )
    with pytest.raises(OSError, match=said) as caught, storage.open("checkpoint"):
        pass
    assert is_outage(caught.value) is outage


def test_a_server_that_is_away_is_waited_for_before_the_checkpoints_are_looked_at(tmp_path, monkeypatch):
    """A search that takes up another driver's trial waits for a bucket as a study does."""
    monkeypatch.setattr("mixlab.storage.journal.PAUSE_SECONDS", 0.01)
    storage = Storage(f"file://{tmp_path}", "study")
    storage.filesystem = Mock(get_file_info=Mock(side_effect=[OSError("AWS Error NETWORK_CONNECTION"), []]))
    assert storage.newest() == {}


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_checkpoint_that_another_driver_has_replaced_is_neither_waited_for_nor_a_lost_storage(tmp_path, scheme):
    act = Mock(side_effect=FileNotFoundError(2, "it is gone"))
    with pytest.raises(FileNotFoundError):
        Storage(f"{scheme}{tmp_path}", "study").patiently(act)
    assert act.call_count == 1


def test_forget_deletes_those_trials_and_empty_launches(tmp_path):
    checkpoint(tmp_path, "l1", "aa", 0, epochs=1)
    checkpoint(tmp_path, "l2", "aa", 0, epochs=2)
    checkpoint(tmp_path, "l2", "bb", 0, epochs=1)
    trials = tmp_path / "study" / "trials"
    for launch in ("mine", "of another driver"):  # both have just started
        (trials / launch).mkdir()
    storage = Storage(str(tmp_path), "study")
    storage.forget({"aa"}, "mine")
    assert set(storage.newest()) == {"bb"}
    assert sorted(path.name for path in trials.iterdir()) == ["l2", "of another driver"]


def test_two_drivers_of_a_search_that_end_together_forget_the_same_trials(tmp_path, monkeypatch):
    """The second finds them deleted, which is no error."""
    for key in ("aa", "bb", "cc"):
        checkpoint(tmp_path, "l", key, 0, epochs=1)
    storage, look = Storage(str(tmp_path), "study"), Storage._folders

    def and_the_other_deletes(storage: Storage, path: str) -> list[str]:
        found = look(storage, path)
        if found[0].endswith("aa"):
            shutil.rmtree(found[0])
        return found

    monkeypatch.setattr(Storage, "_folders", and_the_other_deletes)
    storage.forget({"aa", "bb"})
    assert [path.name for path in (tmp_path / "study" / "trials" / "l").iterdir()] == ["cc"]


def test_a_uri_is_the_same_storage_as_its_folder_and_of_a_finished_trial_only_its_results_are_fetched(tmp_path):
    folder = checkpoint(tmp_path, "l", "aa", 0, epochs=3)  # with the state of the optimiser
    (folder / "model.pt").touch()
    storage = Storage(f"file://{tmp_path}", "study")
    with storage.open(storage.newest()["aa"].path) as local:
        assert local == folder
    storage.filesystem = pyarrow.fs.SubTreeFileSystem("/", pyarrow.fs.LocalFileSystem())  # not a local one by its type
    for kept, names in ((KEPT, {JOURNAL, "model.pt"}), (None, {JOURNAL, "model", "model.pt", "training.pt"})):
        with storage.open(storage.newest()["aa"].path, kept) as local:
            assert {file.name for file in local.iterdir()} == names
            assert read_epochs(local) == read_epochs(folder)
