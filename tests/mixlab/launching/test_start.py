"""One start of the command."""

import contextlib
import errno
import fcntl
import io
import os
import time
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from unittest.mock import Mock, call

import pytest
from rich.console import Console

from mixlab import Options, provenance
from mixlab.cluster import connect, nodes, packing
from mixlab.launching.one_driver import only_driver
from mixlab.launching.start import Start
from tests.endings import refused
from tests.mixlab.nobody import nobody
from tests.mixlab.search_toy import TRAIN

DATA = Path("data").absolute()


def start_of(storage: object, name: str = "toy") -> Start:
    return Start(name, TRAIN, Options(storage=str(storage)), Console(), Path("study.py"))


def test_starts_of_one_second_in_two_containers_have_two_names(monkeypatch, tmp_path):
    """Both are process 1 there; with one name, one would write into the trials of the other."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(time, "strftime", lambda *_: "20250101-120000")
    names = {start_of(tmp_path).launch for _ in range(10)}
    assert len(names) == 10
    assert all(name.startswith("20250101-120000-") for name in names)


def test_one_driver_at_a_time_and_a_sentence_where_nothing_can_be_locked(monkeypatch, tmp_path):
    start = start_of(tmp_path)
    start.make_folder()
    with only_driver(start), refused("another start of this study is running on"):
        only_driver(start).__enter__()
    with only_driver(start):  # the first has ended
        pass

    monkeypatch.setattr(fcntl, "flock", Mock(side_effect=OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))))
    with refused("cannot be locked (", "No locks available)", " a file system that has locks"):
        only_driver(start).__enter__()


def test_a_name_that_the_file_system_cannot_hold_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "mkdir", Mock(side_effect=UnicodeEncodeError("ascii", "größer", 2, 3, "not in range")))
    with refused("größer' cannot name a folder in 'ascii', ", ": export PYTHONUTF8=1"):
        start_of(tmp_path, "größer").make_folder()


def test_a_storage_is_tried_before_the_folder_of_tables_is_made_which_is_here_if_that_is_remote(tmp_path):
    (file := tmp_path / "file").touch()
    with refused(f"--storage '{file}' cannot be written"):
        start_of(file).make_folder()
    assert start_of(f"file://{tmp_path}").folder == Path("results/toy")


@pytest.mark.parametrize(
    ("closed", "why"),
    [
        ("paper/table.md", "Permission denied: '{}/paper/table.md'"),
        ("paper", "Permission denied: '{}/paper"),
        (".", ""),
    ],
)
def test_tables_that_cannot_be_written_are_found_before_anything_is_trained(closed, why):
    with TemporaryDirectory() as name:  # where anybody may look, as not below pytest's
        start = start_of(name)
        start.tables.mkdir(parents=True)
        (start.tables / "table.md").touch()
        for place in (name, start.folder, start.tables, start.tables / "table.md"):
            os.chmod(place, 0o777)
        (start.folder / closed).chmod(0o555)
        said = f"{str(start.folder)!r}, where tables and logs go, cannot be written ("
        with nobody(), refused(said, why.format(start.folder)):
            start.make_folder()
        start.folder.chmod(0o777)
        rmtree(start.tables)
        start.tables.symlink_to("gone")
        with refused(said, "No such file or directory"):
            start.make_folder()


HERE, NODES = call.prepare(TRAIN, ["trial"], Path("data")), call.prepare_nodes(TRAIN, ["trial"], DATA, False)


@pytest.mark.parametrize(
    ("options", "resources", "fetched", "said"),
    [
        ({}, {"CPU": 2.0}, HERE, False),
        ({"address": "auto"}, {"CPU": 2.0}, NODES, True),
        ({"address": "auto"}, {"GPU": 1.0}, call.prepare_nodes(TRAIN, ["trial"], DATA, True), True),
        ({"address": "auto", "gpus_per_trial": 0}, {"GPU": 1.0}, NODES, True),
        ({"address": "auto", "quiet": True}, {"CPU": 2.0}, NODES, False),
    ],
)
def test_the_phases_of_a_start_share_one_connection_and_each_fetches_what_its_trials_need(
    options, resources, fetched, said, tmp_path, monkeypatch
):
    """The provenance is that of the code which the workers get, whatever is edited while data are fetched."""
    done = Mock()
    done.connected.side_effect = lambda *_: contextlib.nullcontext(resources)
    prepared = (nodes, "prepare"), (nodes, "prepare_nodes")
    for module, name in ((connect, "connected"), *prepared, (packing, "share_of"), (provenance, "collect")):
        monkeypatch.setattr(module, name, getattr(done, name))
    console = Console(file=io.StringIO())
    start = Start("toy", TRAIN, Options(**options), console, tmp_path / "study.py")
    connects = [call.connected(start.options.address, TRAIN.train), call.collect(tmp_path / "study.py", TRAIN.train)]
    order = [fetched, *connects] if start.options.address == "local" else [*connects, fetched]
    share = call.share_of(["trial"], TRAIN, resources, start.options, console)
    for calls in ([*order, share], [fetched, share]):
        assert start.share_of(["trial"]) is done.share_of.return_value
        assert done.mock_calls == calls
        assert ("Looking on each node for the data" in console.file.getvalue()) is said
        done.reset_mock()
