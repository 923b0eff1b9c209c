"""A process that trains one run after another does not grow, and a run's peak is its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.noise_images import CONFIG, draw_images
from trainables import memory
from trainables.memory import forget_peak, peak_mib, workers_mib

ROOT = Path(__file__).parents[2]
TRIALS = 7
GROWTH_MIB = 30.0  # before, each run left 20 to 60 MiB
# As a worker runs them: each in a thread of its own, with one arena of the C library for all, and cleared before each.
WORKER = """
import json, sys, threading
from pathlib import Path
import psutil, torch
from mixlab.cluster.worker import _give_back_memory
from trainables import classify

torch.set_num_threads(1)
config, folder, trials = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
mixers, peaks, held = ("none", "cutmix", "mixup", "saliencymix", "fmix"), [], []

def train(number):
    end = classify.train({**config, "mixer": mixers[number % len(mixers)]}, number, data_root=folder)
    peaks.append(end.metrics["peak_memory_mib"])

for number in range(trials):
    thread = threading.Thread(target=train, args=(number,))
    thread.start()
    thread.join()
    _give_back_memory()
    held.append(psutil.Process().memory_info().rss / 2**20)
print(json.dumps([held, peaks]))
"""


def test_the_peak_counts_what_was_held_in_between_and_workers_what_they_hold_now():
    held = forget_peak()
    assert len(b"x" * 64 * 2**20) == 64 * 2**20  # held until here
    assert held + 60 < peak_mib(torch.device("cpu")) < 2 * held + 4000  # an earlier peak stays where none can be reset
    before = workers_mib()
    holding = [sys.executable, "-c", "x = b'x' * 64 * 2**20; print(flush=True); input()"]
    with subprocess.Popen(holding, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert 64 < workers_mib() - before < 128
        child.communicate(b"\n")
    assert workers_mib() - before < 32


@pytest.mark.parametrize(("platform", "maxrss"), [("linux", 3 * 1024), ("darwin", 3 * 1024**2)])
def test_the_peak_is_in_mebibytes_where_the_system_has_no_proc_too(platform, maxrss, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "Path", lambda name: tmp_path / "none")
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(memory.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=maxrss))
    assert peak_mib(torch.device("cpu")) == 3


@pytest.mark.slow
def test_a_worker_that_is_used_again_and_again_stays_as_it_is(tmp_path):
    draw_images(tmp_path)
    config = {**CONFIG, "train_images": 96, "test_images": 40, "epochs": 1, "batch_size": 16}
    command = [sys.executable, "-c", WORKER, json.dumps(config), str(tmp_path), str(TRIALS)]
    paths = {"PYTHONPATH": f"{ROOT / 'platform'}:{ROOT}", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **paths}, check=True)
    held, peaks = json.loads(done.stdout.splitlines()[-1])
    assert held[-1] - held[0] < GROWTH_MIB, held
    assert max(peaks) < 0.5 * held[0], peaks  # what the process has loaded is no run's own
