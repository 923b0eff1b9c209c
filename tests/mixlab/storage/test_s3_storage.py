"""Checkpoints in a bucket of a real S3-compatible server: a study stops and resumes; unusable storage is refused."""

import runpy
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mixlab import Study, main
from mixlab.storage import probe
from tests.endings import ended
from tests.mixlab.recorded import require_everything_once
from tests.servers import s3
from tests.servers.postgresql import free_port
from tests.servers.program import Program, environment
from tests.study_folder import toy_folder
from tests.toy import epochs_of, hold, notes, release
from trainables import classify

ROOT = Path(__file__).parents[3]
STUDY = ROOT / "studies" / "ablation_cifar100.py"
SMALL = ("--preset", "smoke", "--dataset", "cifar10", "--data-root", str(ROOT / "data"))
REFUSED_SECONDS = 6.0  # during this time pyarrow itself asks again

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[s3.S3]:
    with s3.running() as started:
        yield started


def test_a_study_stops_and_goes_on_and_the_doctor_finds_nothing_wrong(server, tmp_path, empty_store):
    bucket = server.create_bucket()
    given = environment(**server.environment)
    study = toy_folder(tmp_path / "study", "recorded", "study", empty_store=empty_store, environment=given)
    storage = ("--storage", server.uri(f"{bucket}/results"))
    chosen = (*storage, "--seeds", "1", "--epochs", "3")
    hold(study.folder, epoch=2)
    driver = study.start(*chosen)
    driver.until(lambda: notes(study.folder, "reported"))  # the first epoch, with its checkpoint
    server.stop()
    hold(study.folder, epoch=3)
    driver.until(lambda: epochs_of(study.folder) == {0: [1, 2]})
    time.sleep(2 * REFUSED_SECONDS)
    server.start()
    driver.until(lambda: notes(study.folder, "reported")[-1]["epoch"] == 2)
    driver.interrupt()
    assert "To go on: python" in driver.finish(code=130)
    assert server.whole_checkpoints(bucket, "epoch") == 1

    release(study.folder)
    assert "goes on after epoch 2" in study.run_here(*chosen)
    assert epochs_of(study.folder) == {0: [1, 2, 3]}
    assert server.files(f"{bucket}/results") == []  # MLflow holds them; a second copy is not needed
    assert study.table("paper")  # next to the driver
    require_everything_once(study, seeds=1, epochs=3)

    doctor = [sys.executable, "-m", "mixlab.doctor", *storage, "--tracking-uri", study.uri]
    with Program(doctor, tmp_path, "doctor.txt", given) as examination:
        assert "ok      storage" in examination.finish(code=None)
    assert server.files(bucket) == []


def refuse(capsys: pytest.CaptureFixture[str], folder: Path, storage: str, *more: str) -> str:
    """Return the sentence on the error stream; nothing may have been started, and it may take half a minute."""
    study: Study = runpy.run_path(str(STUDY))["study"]
    where = ("--storage", storage, "--tracking-uri", f"sqlite:///{folder}/mlflow.db")
    start = time.monotonic()
    with ended(2):
        main(study, classify.train, [*SMALL, *where, *more])
    assert time.monotonic() - start < 35
    sentence = capsys.readouterr().err.strip()
    assert sentence.startswith("error: --storage 's3://")
    assert sentence.count("\n") == 0
    assert list(folder.iterdir()) == []
    return sentence


def test_what_cannot_be_used_is_refused_in_a_sentence(server, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    good = server.uri(f"{server.create_bucket()}/results")
    nobody = good.replace(str(server.port), str(free_port()))
    for storage, part in (
        (server.uri("no-such-bucket/results"), "no-such-bucket"),
        (good.replace("://", "://AKID:wrong%2Fkey@"), "ACCESS_DENIED"),
        (nobody, "NETWORK_CONNECTION"),
        (good.replace("scheme", "sceme"), "'sceme'"),
        ("s3://AKID:wrong/key@bucket/results", "Cannot parse URI"),
    ):
        sentence = refuse(capsys, tmp_path, storage)
        assert part in sentence
        assert "AWS_SECRET_ACCESS_KEY" in sentence
        assert "key@" not in sentence
    assert ":***@bucket/" in sentence
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert "ACCESS_DENIED" in refuse(capsys, tmp_path, good)
    assert "ACCESS_DENIED" in refuse(capsys, tmp_path, good, "--dry-run")


def test_a_server_that_never_answers_is_not_waited_for(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(probe, "ANSWER_SECONDS", 1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host, port = silent.getsockname()
        storage = f"s3://AKID:hidden@bucket/results?scheme=http&endpoint_override={host}:{port}"
        sentence = refuse(capsys, tmp_path, storage)
    assert sentence.startswith("error: --storage 's3://AKID:***@bucket/results?")
    assert "no answer within 1 s" in sentence
