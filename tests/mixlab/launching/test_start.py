"""One start of the command."""

import errno
import fcntl
import os
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
from rich.console import Console

from mixlab import Options
from mixlab.errors import BadInput
from mixlab.launching.launch import TABLE_FILE, require_no_more_trials
from mixlab.launching.one_driver import only_driver
from mixlab.launching.start import Start
from tests.mixlab.search_toy import TRAIN


def test_starts_of_one_second_in_two_containers_have_two_names(monkeypatch, tmp_path):
    """Both are process 1 there; with one name, one would write into the trials of the other."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(time, "strftime", lambda *_: "20250101-120000")
    options = Options(storage=str(tmp_path))
    names = {Start("toy", TRAIN, options, Console(), tmp_path / "study.py").launch for _ in range(10)}
    assert len(names) == 10
    assert all(name.startswith("20250101-120000-") for name in names)


def test_one_driver_at_a_time_and_a_sentence_where_nothing_can_be_locked(monkeypatch, tmp_path):
    start = Start("toy", TRAIN, Options(storage=str(tmp_path)), Console(), tmp_path / "study.py")
    start.make_folder()
    with only_driver(start), pytest.raises(BadInput, match="another start of this study is running on"):
        only_driver(start).__enter__()
    with only_driver(start):  # the first has ended
        pass

    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))))
    with pytest.raises(BadInput, match=r"cannot be locked \(.*No locks available\).* a file system that has locks"):
        only_driver(start).__enter__()


def test_a_name_that_the_file_system_cannot_hold_is_a_sentence(monkeypatch, tmp_path):
    start = Start("größer", TRAIN, Options(storage=str(tmp_path)), Console(), tmp_path / "study.py")
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=UnicodeEncodeError("ascii", "größer", 2, 3, "not in range")))
    with pytest.raises(BadInput, match=r"größer' is no name of a folder in 'ascii', .*: export PYTHONUTF8=1"):
        start.make_folder()


@pytest.mark.parametrize(
    "note", ["[]", "5", '"text"', "{}", '{"asked": [], "done": []}', '{"asked": {}, "done": 5}', '{"done": ["a"]}']
)
def test_a_note_that_is_none_of_a_table_is_passed_over(note, tmp_path):
    """One that a full disk has cut short was; another ended the start in a traceback."""
    (tmp_path / TABLE_FILE).write_text(note)
    require_no_more_trials([], tmp_path)
