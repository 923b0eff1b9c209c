"""Terminals, signals and folders that are not as usual, tried without Ray."""

import logging
import os
import pty
import signal
import stat
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mixlab.cluster import connect, ray_private
from mixlab.errors import BadInput
from mixlab.launching.start import undisturbed
from mixlab.messages import open_streams, say
from mixlab.tracking.store import connect as open_store
from tests.mixlab.test_slurm_script import TINY
from tests.mixlab.tracking.one_trial import tracker_of


@pytest.fixture
def handled() -> Iterator[Callable[[int, Any], None]]:
    """Return what sets a signal's handler; that and what else ``undisturbed`` changes for the process is restored."""
    handlers = {name: logging.getLogger(name).handlers for name in ("ray", "mlflow", "alembic", "mixlab")}
    signals = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM)}
    yield signal.signal
    for name, before in handlers.items():
        logging.getLogger(name).handlers = before
    for number, handler in signals.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_closed_terminal_and_a_time_limit_stop_as_ctrl_c_does(handled, tmp_path, number):
    handled(number, signal.SIG_DFL)
    with pytest.raises(KeyboardInterrupt), undisturbed(tmp_path / "mixlab.log"):
        signal.raise_signal(number)
    assert signal.getsignal(number) == signal.SIG_DFL


def test_what_is_said_to_a_terminal_that_is_gone_stops_nothing(monkeypatch):
    """It would keep a study whose terminal was closed from recording how its runs ended."""
    window, terminal = pty.openpty()
    with open(terminal, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        open_streams()
        print("before")
        assert os.read(window, 100) == b"before\r\n"
        os.close(window)
        print("after")
        sys.stdout.flush()


def test_a_terminal_breaks_no_word_and_cuts_no_command_in_two():
    window, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (24, 20))
    with open(terminal, "w") as stream:
        console = Console(file=stream)
        say(console, "a sentence that is longer than a line")
        say(console, "To go on: python study.py --seeds 6", whole=True)
        said = b""
        while b"6\r\n" not in said:
            said += os.read(window, 1000)
    assert said.decode().splitlines() == [
        "a sentence that is",
        "    longer than a",
        "    line",
        "To go on: python study.py --seeds 6",
    ]


@pytest.mark.usefixtures("handled")
def test_in_a_thread_signals_are_left_as_they_are(tmp_path):
    def handler_inside() -> object:
        with undisturbed(tmp_path / "mixlab.log"):
            return signal.getsignal(signal.SIGTERM)

    with ThreadPoolExecutor() as pool:
        assert pool.submit(handler_inside).result() == signal.getsignal(signal.SIGTERM)


def test_under_nohup_a_closed_terminal_stops_nothing(handled, tmp_path):
    handled(signal.SIGHUP, signal.SIG_IGN)
    environment = dict(os.environ)
    with undisturbed(tmp_path / "mixlab.log"):
        signal.raise_signal(signal.SIGHUP)
        assert os.environ != environment
    assert os.environ == environment


@pytest.mark.usefixtures("handled")
def test_a_log_on_a_full_disk_says_nothing_on_the_terminal(capsys):
    with undisturbed(Path("/dev/full")):
        for _ in range(1000):
            logging.getLogger("mixlab").warning("a line that cannot be written")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("handled")
def test_what_libraries_say_is_in_the_log_alone_once_and_without_a_password(tmp_path, capsys):
    """MLflow's errors name the address of its server as it was given."""
    library = logging.getLogger("mlflow")
    library.handlers, library.propagate = [logging.StreamHandler()], False  # as its import leaves it
    for name in ("first.log", "second.log"):  # two starts, as in a notebook
        with undisturbed(tmp_path / name):
            library.warning("away", exc_info=OSError("http://me:secret@head:5000/api failed"))
        log = (tmp_path / name).read_text()
        assert log.count(" mlflow WARNING away\n") == 1
        assert "OSError: http://me:***@head:5000/api failed\n" in log
    assert (tmp_path / "first.log").read_text().count("away") == 1
    assert capsys.readouterr().err == ""


@pytest.fixture
def listing(tmp_path) -> str:
    """Return the command that lists a study."""
    (tmp_path / "study.py").write_text(TINY, encoding="utf-8")
    return f"{sys.executable} {tmp_path / 'study.py'} --list"


@pytest.mark.parametrize(
    "environment", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_letters_that_the_terminal_lacks_are_replaced(environment, listing):
    done = subprocess.run(listing.split(), env={**os.environ, **environment}, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    assert b"arm one: the base" in done.stdout
    assert b"x=3" in done.stdout


@pytest.mark.parametrize(
    ("redirection", "code", "error"),
    [
        ("<&- >&-", 0, ""),  # both are closed, as under some daemons
        ("> /dev/full", 1, "error: the standard output cannot be written ([Errno 28] No space left on device)\n"),
        ("| true", 0, ""),  # nobody reads it
    ],
)
@pytest.mark.parametrize("command", ["{listing}", "{listing} --json 2> /dev/null", "{python} -m mixlab list"])
def test_an_output_that_is_closed_or_full_or_read_by_nobody_is_no_traceback(redirection, code, error, command, listing):
    line = f"{command.format(listing=listing, python=sys.executable)} {redirection}"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "" if "2>" in command else error)


@pytest.mark.slow
def test_ctrl_c_while_the_process_ends_is_no_traceback(tmp_path):
    study = tmp_path / "study.py"
    study.write_text(f"import atexit, signal\natexit.register(signal.raise_signal, signal.SIGINT)\n{TINY}", "utf-8")
    done = subprocess.run([sys.executable, study, "--list"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("given", "usual", "used"),
    [("", "/tmp/" + 90 * "t", "/tmp"), ("", "/tmp/büro", "/tmp"), ("HERE", "/tmp", "HERE")],
)
def test_sockets_go_to_a_short_folder_that_nobody_else_may_enter(monkeypatch, given, usual, used):
    with tempfile.TemporaryDirectory(dir="/tmp") as here:
        monkeypatch.setenv("RAY_TMPDIR", given.replace("HERE", here))
        monkeypatch.setattr(tempfile, "gettempdir", lambda: usual)
        folder = connect._own_folder()
        assert folder == Path(used.replace("HERE", here), ray_private.OWN)
        folder.chmod(0o777)
        assert stat.filemode(connect._own_folder().stat().st_mode) == "drwx------"


def test_a_folder_of_ray_that_is_long_or_cannot_be_written_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_TMPDIR", "file/ray")
    with pytest.raises(BadInput, match="the folder 'file/ray' for Ray's files cannot be written: set RAY_TMPDIR to"):
        connect._own_folder()
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray_private, "SHORT", 200)
    (tmp_path / ray_private.OWN).symlink_to("/nowhere")
    not_ours = f"{ray_private.OWN}' is to hold Ray's files, but is no folder of this user: "
    with pytest.raises(BadInput, match=not_ours):
        connect._own_folder()
    (tmp_path / ray_private.OWN).unlink()
    monkeypatch.setattr(connect.os, "geteuid", lambda: 12_345)  # of whom the folder is not
    with pytest.raises(BadInput, match=not_ours):
        connect._own_folder()
    monkeypatch.undo()
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + 90 * "t")
    monkeypatch.setattr(connect.os, "access", lambda *_: False)  # there is no short one either
    with pytest.raises(BadInput, match=f"set RAY_TMPDIR to one of at most {ray_private.SHORT} letters"):
        connect._own_folder()


@pytest.mark.parametrize(
    ("home", "given"),
    [("{folder}", False), ("{folder}/not/yet/there", False), ("{folder}/file/home", True), ("~", True)],
)
def test_without_a_home_ray_gets_its_token_all_the_same(home, given, tmp_path, monkeypatch):
    """Otherwise every study would end with "Ray did not start on this machine"."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", home.format(folder=tmp_path))
    monkeypatch.setenv("RAY_AUTH_TOKEN", "x")  # to be restored
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    connect._keep_token()
    assert ("RAY_AUTH_TOKEN" in os.environ) == given


def test_an_artifact_root_that_cannot_be_written_is_refused_at_once(tracking_uri, tmp_path):
    (tmp_path / "mlruns").write_text("a file where the folder would be")
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"cannot write to MLflow at .*mlruns"):
        tracker_of(open_store(tracking_uri)).open()
    assert time.monotonic() - began < 10
