"""The words that tell the machine of a run from another, its precision, and the memory that it takes."""

import json
import os
import platform
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.noise_images import CONFIG, draw_images
from trainables.device import hardware, memory
from trainables.device.hardware import environment, precision_of, set_up
from trainables.device.memory import forget_peak, peak_mib, workers_mib


def test_the_hardware_tells_of_the_threads_that_add_up():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = environment(torch.device("cpu"))
        torch.set_num_threads(2)
        assert alone["libraries"].startswith("torchvision ")
        versions = {"python": platform.python_version(), "torch": torch.__version__}
        assert {key: alone[key] for key in alone.keys() - {"hardware", "libraries"}} == versions
        assert environment(torch.device("cpu")) == {**alone, "hardware": f"{alone['hardware']} and 2 threads"}
    finally:
        torch.set_num_threads(threads)


def test_the_hardware_of_a_gpu_is_its_name_with_the_versions_that_it_computes_by(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"NVIDIA H200 of {device}")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    monkeypatch.setattr(hardware, "DRIVER", tmp_path / "version")
    without = environment(torch.device("cuda"))
    assert without["hardware"] == "NVIDIA H200 of cuda"
    assert without["cudnn"] == "91002"
    assert without.keys() - environment(torch.device("cpu")).keys() == {"cuda", "cudnn"}
    (tmp_path / "version").write_text("570.1\n")
    assert environment(torch.device("cuda")) == {**without, "driver": "570.1"}


@pytest.mark.parametrize("native", [True, False])
def test_auto_is_the_half_precision_that_a_gpu_computes_in_itself(native, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    assert precision_of("auto", torch.device("cpu")) == torch.float32
    assert precision_of("auto", torch.device("cuda")) == (torch.bfloat16 if native else torch.float16)
    assert precision_of("float32", torch.device("cuda")) == torch.float32


def pages() -> int:
    """Return how many pages of memory the system has filled for this process until now."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def test_the_tensors_of_a_step_take_the_memory_of_those_of_the_last():
    set_up(deterministic=False)
    sizes = [2**20, 5 * 2**20, 40 * 2**20, 2**20]  # bytes; the library would give back each of them
    filled = []
    for _ in range(6):
        before = pages()
        _step = [torch.zeros(size, dtype=torch.uint8) for size in sizes]
        del _step
        filled.append(pages() - before)
    assert min(filled) < 20  # of 12,000, or of 23 where pages have 2 MiB


ROOT = Path(__file__).parents[3]
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
    assert max(peaks) < 0.5 * held[0], peaks  # no run counts what the process had loaded
