"""Mistakes of a user end with exit code 2 and one sentence that quotes them; more are in the tests of each part."""

import runpy
import time
from pathlib import Path

import pytest

from mixlab import Study, main
from mixlab.tracking import store
from tests.endings import ended
from tests.servers.postgresql import free_port
from trainables import classify

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study() -> Study:
    return runpy.run_path(str(ROOT / "studies" / "ablation_cifar100.py"))["study"]


def refuse(study: Study, capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> str:
    """Return the sentence on the error stream; nothing may have been written."""
    where = ("--tracking-uri", f"sqlite:///{folder}/mlflow.db", "--storage", f"{folder}/results")
    with ended(2):
        main(study, classify.train, ["--preset", "smoke", "--dataset", "cifar10", *where, *options])
    shown = capsys.readouterr().err.strip()
    assert "Traceback" not in shown
    *progress, sentence = shown.splitlines()
    assert sentence.startswith("error: ")
    assert all("..." in line or "failed" in line for line in progress)
    return sentence


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--dataset", "cifar11"], ["'cifar11'", "'cifar10'"]),
        (["--set", "lr"], ["'lr'", "KEY=VALUE"]),
        (["--epochs", "three"], ["'three'", "--epochs", "a whole number"]),
        (["--checkpoint-every", "often"], ["'often'", "--checkpoint-every", "a number"]),
        (["--arms", "raw pass", "--arms", "+ lam"], ["--arms", "twice", "commas"]),
        (["--gpu-per-trial", "1"], ["--gpu-per-trial", "did you mean '--gpus-per-trial'?"]),
        (["--cpus-per-trial", "1000"], ["1000", "--cpus-per-trial"]),
        (["--gpus-per-trial", "2", "--check", "--set", "compile=true"], ["compile must be False", "got 2"]),
        (["--gpus-per-trial", "4", "--check", "--set", "cuda_graph=true"], ["cuda_graph must be False", "got 4"]),
        (["--address", "somewhere"], ["'somewhere'", "HOST:PORT"]),
        (["--storage", "/proc/nothing"], ["'/proc/nothing'"]),
        (["--tirals=4"], ["unknown option '--tirals'; did you mean '--trials'?"]),
        (["quick"], ["'quick' is neither an option nor the value of one", "a notebook calls mixlab.run"]),
    ],
    ids=" ".join,
)
def test_bad_input(study, capsys, tmp_path, options, parts):
    sentence = refuse(study, capsys, tmp_path, *options)
    assert all(part in sentence for part in parts), sentence
    assert not (tmp_path / "mlflow.db").exists()


def test_a_tracking_server_that_nobody_runs(study, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ANSWER_SECONDS", 0.1)  # for which MLflow asks again and again
    uri = f"http://127.0.0.1:{free_port()}"
    start = time.monotonic()
    assert uri in refuse(study, capsys, tmp_path, "--tracking-uri", uri)
    assert time.monotonic() - start < 10


def test_a_data_root_that_cannot_be_written(study, capsys, tmp_path, tracking_uri):
    assert "/proc/nothing" in refuse(study, capsys, tmp_path, "--data-root", "/proc/nothing")
