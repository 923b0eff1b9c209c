"""The store of a search's trials: its address, its file, its lock, and what it refuses."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import filelock
import optuna
import pytest
from sqlalchemy.engine import make_url

from mixlab.errors import BadInput
from mixlab.processes import this_process
from mixlab.search.history import History
from mixlab.search.trial_store import TrialStore, absolute, file_of, shown
from mixlab.spec.trial import State
from tests.endings import refused
from tests.mixlab.nobody import nobody
from tests.mixlab.search_toy import TRAIN, run, search, store_of


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nosuchdatabase://me:secret@host/db", r"cannot be opened .*; give a file .* or .* postgresql\+psycopg2://"),
        *((f"sqlite:{rest}", "names no file; give sqlite:///FILE") for rest in ("//", "///", "///:memory:", "///?x=1")),
        ("sqlite+pysqlite:///trials.db", "names no file; give sqlite:///FILE"),
        ("sqlite:////proc/trials.db", "'/proc' cannot be written; give another file"),  # it waited for ever
        ("/proc/new/trials.journal", "'/proc' cannot be written; give another file"),
    ],
)
def test_a_store_that_cannot_be_opened_is_one_sentence_without_the_password(url, sentence):
    with pytest.raises(BadInput, match=sentence) as error:
        TrialStore(url, "toy")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_an_address_is_shown_without_its_password():
    assert shown("postgresql://me:secret@host/db") == "postgresql://me@host/db"
    assert "secret" not in shown("postgresql://me@host/db?password=secret")


def test_a_journal_is_found_from_any_folder_and_an_sqlite_store_makes_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in ("trials", "journal:///trials", f"journal:///{tmp_path}/trials"):
        assert absolute(url) == absolute(absolute(url)) == f"journal:///{tmp_path}/trials"
        assert file_of(url) == tmp_path / "trials"
    mask = os.umask(0o002)
    store = TrialStore(f"sqlite:///{tmp_path}/my%20trials.db?timeout=60", "toy")
    os.umask(mask)
    assert store.file == tmp_path / "my trials.db"
    assert store.file.stat().st_mode & 0o777 == 0o664  # SQLite itself would let no group write
    assert store.storage.get_all_studies() == []


@pytest.mark.parametrize("name", ["t.db?timeout=60", "a%20b+c.db", "a%b.db", "100%25.db", "ä#b.db", "x/../y.db"])
def test_the_file_of_an_sqlite_url_is_the_one_that_optuna_opens(tmp_path, monkeypatch, name):
    """Otherwise the trials of a name with a quoted letter would be looked for in a file that does not exist."""
    folder = tmp_path / "50%20 off"
    folder.mkdir()
    monkeypatch.chdir(folder)
    url = f"sqlite:///{name}"
    asked, whole = make_url(url), make_url(absolute(url))
    assert file_of(url) == folder / asked.database
    assert (whole.database, whole.query) == (f"{folder}/{asked.database}", asked.query)
    assert absolute(absolute(url)) == absolute(url)


@pytest.mark.parametrize("url", ["{}/trials", "sqlite:///{}/trials"])
@pytest.mark.parametrize("closed", ["trials", "."])
def test_what_another_user_has_tried_is_read_and_not_written(url, closed):
    """A write to it would end in a traceback."""
    with TemporaryDirectory() as name:  # where anybody may look, as not below pytest's
        folder, url = Path(name), url.format(name)
        optuna.create_study(study_name="theirs", storage=TrialStore(url, "toy").storage)
        for path, mode in ((folder, 0o777), (folder / "trials", 0o666), (folder / closed, 0o555)):
            path.chmod(mode)
        with nobody():
            with pytest.raises(BadInput, match=f"{folder / closed}' cannot be written; give another file"):
                TrialStore(url, "toy")
            (study,) = TrialStore(url, "toy", reading=True).storage.get_all_studies()
            assert study.study_name == "theirs"


@pytest.mark.parametrize("left", [b"", b'{"op_', b'{"op_code":4,"worker_id":"x","study_id":0,"datetime_st'])
def test_a_journal_that_ends_in_half_a_line_is_read_and_goes_on(tmp_path, left):
    spec = search(budget=4, base={"epochs": 2}, sampler="random")
    history = History(spec, TRAIN, store_of("journal", tmp_path))
    history.tell(history.claim(), State.DONE, 1.0)
    (file,) = tmp_path.rglob("*.journal")
    whole = file.read_bytes()
    file.write_bytes(whole + left)
    again = History(spec, TRAIN, store_of("journal", tmp_path))
    assert file.read_bytes().startswith(whole + b'{"op_code":0,')  # each start asks for its studies
    run(again)
    assert again.finished()
    file.write_bytes(left)
    run(History(spec, TRAIN, store_of("journal", tmp_path)))


@pytest.mark.parametrize("damage", [b"\0\0\0", b"", b"[]", b"7", b'{"op_code":4,"study', b'{"opcode":4}'])
def test_a_journal_with_a_damaged_line_says_which_lines_are_whole_and_goes_on_with_them(tmp_path, damage):
    spec = search(budget=4, base={"epochs": 2}, sampler="random")
    run(History(spec, TRAIN, store_of("journal", tmp_path)))
    (file,) = tmp_path.rglob("*.journal")
    of_another = file.read_bytes().replace(this_process().encode(), b"elsewhere/x#1@1")
    whole = of_another.splitlines(keepends=True)
    file.write_bytes(b"".join([*whole[:20], damage + b"\n", *whole[21:]]))
    way = "put a copy back, or keep what is before it, by `head -n 20`: later trials are tried again"
    with refused(f"--optuna-storage '{file}' is damaged in line 21; {way}"):
        TrialStore(str(file), "toy")
    file.write_bytes(b"".join(whole[:20]))
    run(again := History(spec, TRAIN, store_of("journal", tmp_path)))
    assert again.finished()


@pytest.mark.parametrize("content", [b"a line without an end", b"SQLite format 3\0", b'{"a": 1}\n'])
def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path, content):
    file = tmp_path / "notes"
    file.write_bytes(content)
    with pytest.raises(BadInput, match=r"opened \(it is not a journal of Optuna\); put that right, or give another"):
        TrialStore(str(file), "toy")
    assert file.read_bytes() == content


def test_a_store_that_cannot_be_locked_is_a_sentence(tmp_path, monkeypatch):
    trials = TrialStore(str(tmp_path / "trials"), "toy")
    monkeypatch.setattr("mixlab.search.trial_store.WAIT_SECONDS", 0)
    held = r"\(The file lock .* could not be acquired\.\)"
    with filelock.FileLock(tmp_path / "trials.claim"), pytest.raises(BadInput, match=f"locked {held}: give"):
        trials.alone(list)
    with filelock.FileLock(tmp_path / "trials.db.claim"), pytest.raises(BadInput, match=f"opened {held}; put"):
        TrialStore(f"sqlite:///{tmp_path}/trials.db", "toy")
    (tmp_path / "trials.claim").unlink()
    (tmp_path / "trials.claim").mkdir()
    with pytest.raises(BadInput, match=r"trials' cannot be locked \(.*Is a directory"):
        trials.alone(list)
