"""The files that a trial reads travel to its process by their content."""

import pickle
from pathlib import Path

from ray import cloudpickle

from mixlab.cluster import worker
from mixlab.cluster.worker import files_of
from mixlab.spec.complete import complete
from mixlab.spec.study import Trial
from tests.mixlab.cluster.reader import Reader, work


def test_files_travel_to_the_worker_by_their_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("teacher.pt").write_bytes(b"a network")
    config = {"teacher": "teacher.pt", "extractor": None, "lr": 0.1}
    files = files_of(complete(Reader()), [config, {**config, "lr": 0.2}])
    assert files == {"teacher.pt": b"a network"}

    Path("teacher.pt").unlink()  # the worker is on another machine
    trial = Trial("key", "arm", {}, 0, config, config)
    with worker._settings(trial, work(tmp_path, **files)) as settings:
        there = Path(settings["teacher"])
        assert there.read_bytes() == b"a network"
        assert there.name == "teacher.pt"
        assert (settings["extractor"], settings["lr"]) == (None, 0.1)
    assert not there.exists()


def test_a_file_that_changes_after_the_key_was_made_is_read_as_it_was(tmp_path):
    """A run would be recorded under a key that does not describe what it has read."""
    file = tmp_path / "teacher.pt"
    file.write_bytes(b"a network")
    train, config = complete(Reader()), {"teacher": str(file)}
    before = train.hashed(config)
    file.write_bytes(b"another")
    assert files_of(train, [config]) == {str(file): b"a network"}
    assert train.hashed(config) == before  # as for a trial that a search proposes later
    assert complete(Reader()).hashed(config) != before
    assert pickle.loads(cloudpickle.dumps(train))._read_files == {}
