"""Files are taken from the first source that has all of them, right, and are all put into their places or none."""

import pytest

from trainables.datasets import verified_files
from trainables.datasets.dataset import DataError
from trainables.datasets.verified_files import Source, fetch, md5_of

CONTENT = {"deep/a": b"first", "b": b"second"}
MD5 = {path: md5_of(content) for path, content in CONTENT.items()}


def source(name, **changes):
    return Source(name, iter({**CONTENT, **changes}.items()))


def lacking(name):
    return Source(name, iter([("b", CONTENT["b"])]))


def test_what_a_source_has_is_checked_whole_before_anything_is_put_into_its_place(tmp_path):
    with pytest.raises(DataError) as refused:
        fetch(tmp_path, "It", MD5, [lacking("one"), source("two", b=b"other")], "ask")
    wrong = f"the md5 is {md5_of(b'other')} instead of {MD5['b']}"
    reasons = f"one: it holds no deep/a; two: its b is broken: {wrong}"
    assert str(refused.value) == f"It could not be obtained ({reasons}); ask"
    assert [path.name for path in tmp_path.iterdir()] == [".it.lock"]


def test_the_first_source_that_is_whole_serves_and_files_that_are_right_are_left_alone(tmp_path, capsys, monkeypatch):
    (tmp_path / "b").write_bytes(b"broken")
    unused = Source("c", iter([("b", b"of no use")]))
    elsewhere = Source("d", iter(()), needs=tmp_path / "nothing")
    fetch(tmp_path, "It", MD5, [elsewhere, lacking("a"), source("b", more=b"left out"), unused], "ask")
    assert {path: (tmp_path / path).read_bytes() for path in MD5} == CONTENT
    assert not (tmp_path / "more").exists()
    said = capsys.readouterr()
    assert said.out == ""
    tried = ["It: trying a ...", "It: a failed (it holds no deep/a)", "It: trying b ..."]
    assert said.err.splitlines() == [*tried, f"It: complete in {tmp_path}"]
    monkeypatch.setattr(verified_files, "locked_scratch", lambda *_: pytest.fail("locked"))  # where nothing may be made
    fetch(tmp_path, "It", MD5, [], "ask")


def test_another_process_may_have_served_meanwhile(tmp_path, monkeypatch, capsys):
    answers = iter([["b"], []])
    monkeypatch.setattr(verified_files, "unusable", lambda root, md5: next(answers))
    fetch(tmp_path, "It", MD5, [source("not needed")], "ask")
    assert capsys.readouterr().err == ""
