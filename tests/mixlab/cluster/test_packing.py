"""Trials share a GPU by their memory, and some run out of it, on a GPU in which only Ray believes."""

import io
import itertools
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from mixlab.cluster import connect
from mixlab.cluster.packing import Packing, measure, more, ran_out, share_of
from mixlab.cluster.resources import Share
from mixlab.cluster.worker import CONTEXT_BYTES, share_of_tensors
from mixlab.errors import account_of
from mixlab.options import Options
from mixlab.spec.complete import complete
from tests.endings import refused
from tests.servers import ray_cluster
from tests.servers.program import run_alone
from tests.study_folder import toy_folder
from tests.toy import Toy


@pytest.mark.parametrize(
    ("needed", "free", "count", "gpus"),
    [
        (4_000, 16_000, 3, 0.3333),  # 14,400 MiB of them can be used
        (15_000, 16_000, 1, 1),  # the margin is gone, but it fits
        (4.0, 80_000, 10_000, 0.0001),  # hardly any memory still asks for a GPU
        (1e-300, 80_000, 10_000, 0.0001),
    ],
)
def test_as_many_trials_share_a_gpu_as_its_free_memory_holds(needed, free, count, gpus):
    packing = Packing(needed, free, cell="large")
    assert (packing.count, packing.gpus) == (count, gpus)


def trials_of(**needs: float) -> Any:
    """Return a trial of each cell, whose settings are the MiB that it needs."""
    return [SimpleNamespace(cell=cell, settings=mib) for cell, mib in needs.items()]


def trainable(free: float = 16_000) -> Any:
    def gpu_memory(settings: float, data_root: Path) -> tuple[float, float]:
        assert data_root.is_absolute()  # a worker is in a folder of its own
        return settings, free

    return SimpleNamespace(gpu_memory=gpu_memory)


def test_trials_fit_a_gpu_and_no_more_do():
    for needed, free in itertools.product(np.geomspace(20, 2e5, 40).tolist(), np.geomspace(1, 2e5, 41).tolist()):
        packing, case = Packing(needed, free, "cell"), (needed, free)
        assert packing.count * packing.gpus <= 1, case
        assert packing.count == 1 or packing.count * needed <= 0.9 * free * (1 + 1e-9), case
        assert (packing.count + 1) * needed > 0.9 * free, case


@pytest.mark.parametrize(
    ("error", "full"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", True),
        ("torch.cuda.OutOfMemoryError: CUDA out of memory.", True),
        ("RuntimeError: CUDA error: out of memory", True),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", True),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", True),
        ("RuntimeError: cuFFT error: CUFFT_ALLOC_FAILED", True),
        ("RuntimeError: cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(&h)`", True),
        ("RuntimeError: GET was unable to find an engine to execute this computation", True),
        ("torch._inductor.exc.InductorError: RuntimeError: Triton Error [CUDA]: out of memory", True),
        ("RuntimeError: cuFFT error: CUFFT_INVALID_SIZE", False),
        ("RuntimeError: CUDA driver error: out of memory", True),
        ("RuntimeError: cuDNN error: CUDNN_STATUS_BAD_PARAM", False),
        ("torch.AcceleratorError: CUDA error: an illegal memory access was encountered", False),
        ("ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.", False),
        ("ValueError: out of memory", False),
        # The exceptions are recognised by the names that torch gives them.
        (account_of(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")), True),
        (account_of(torch.AcceleratorError("CUDA error: out of memory")), True),
        (account_of(torch.AcceleratorError("CUDA error: device-side assert triggered")), False),
    ],
)
def test_what_running_out_of_gpu_memory_is(error, full):
    raised = "Traceback (most recent call last):\n  File 'a.py', line 1, in f\n    raise torch.OutOfMemoryError()\n"
    assert ran_out(raised + error) == full


def test_the_share_doubles_from_a_quarter_up_to_a_whole_gpu():
    assert [more(gpus) for gpus in (0.01, 0.125, 0.3333, 0.6666, 1.0, 2.0)] == [0.25, 0.25, 0.6666, 1.0, 1.0, 2.0]


@pytest.mark.parametrize(("room", "asked"), [(16_000, [0.125]), (5_000, [0.125, 1]), (3_000, [0.125, 1])])
def test_arms_are_measured_at_once_where_they_fit_and_alone_where_not(room, asked, monkeypatch):
    shares = []

    def map_on(memory: Callable[[Any], Any], settings: Any, wanted: Share) -> list[Any]:
        shares.append(wanted.gpus)
        if (sum if wanted.gpus < 1 else max)(settings) > room:
            raise ValueError("a trial does not fit")
        return [memory(each) for each in settings]

    monkeypatch.setattr(connect, "map_on", map_on)
    monkeypatch.setattr(connect, "on_every_gpu_node", lambda memory, settings, _: [memory(settings)])
    with refused("--gpus-per-trial auto: a trial does not fit") if room < 4_000 else nullcontext():
        found = measure(trials_of(small=2_000, large=4_000, medium=3_000), trainable(room), Share(1, 1), Path("/data"))
        assert found == Packing(4_000, room, "large")
    assert shares == asked


@pytest.fixture
def two_nodes(monkeypatch) -> None:
    """Let the cluster have two nodes with a GPU, of which one has half as much memory free."""
    monkeypatch.setattr("mixlab.cluster.nodes.resources", lambda: [{"CPU": 4.0, "GPU": 1.0}] * 2)
    monkeypatch.setattr(connect, "map_on", lambda memory, settings, _: [memory(each) for each in settings])
    monkeypatch.setattr(connect, "on_every_gpu_node", lambda _, mib, __: [(mib, 16_000), (mib, 9_000)])


@pytest.mark.parametrize(("mib", "gpus", "said"), [(2_000, 0.25, "4 trials"), (5_000, 1.0, "1 trial")])
@pytest.mark.usefixtures("two_nodes")
def test_the_cell_that_needs_most_and_the_gpu_that_has_least_decide(mib, gpus, said):
    console = Console(file=io.StringIO(), width=300)
    options = Options(gpus_per_trial="auto", cpus_per_trial=2.0)
    trials = trials_of(small=1_000, big=mib)
    assert share_of(trials, trainable(), {"CPU": 8.0, "GPU": 2.0}, options, console) == Share(2, gpus)
    account = f"{said} to a GPU: big, which needs most, takes {mib:,} MiB (measured); a GPU has 9,000 MiB free, of"
    assert f"{account} which 10 % stay so.\n" in console.file.getvalue()


@pytest.mark.usefixtures("two_nodes")
def test_nothing_is_measured_where_no_gpu_is_asked_for_or_there():
    for gpus, resources, share in (("auto", {"CPU": 8.0}, 0), (0.5, {"CPU": 8.0, "GPU": 2.0}, 0.5)):
        console = Console(file=io.StringIO())
        assert share_of([], trainable(), resources, Options(gpus_per_trial=gpus), console).gpus == share
        assert not console.file.getvalue()


@pytest.mark.parametrize(
    ("cpus", "gpus", "sentence"),
    [
        (5.0, 0, "--cpus-per-trial 5 is more than any node of the Ray cluster has: give at most 4 (CPUs)"),
        (1.0, 3, "--gpus-per-trial 3 is more than any node of the Ray cluster has: give at most 2 (GPUs)"),
        (3.0, 1, "--cpus-per-trial 3 is more than any node of the Ray cluster with such GPUs has: give at most 2 (CP"),
        (2.0, 2, None),
        (4.0, 0, None),
    ],
)
def test_a_trial_must_have_room_on_one_node(cpus, gpus, sentence, monkeypatch):
    nodes = [{"CPU": 4.0}, {"CPU": 2.0, "GPU": 2.0}, {"CPU": 1.0, "GPU": 2.0}, {}]
    monkeypatch.setattr("mixlab.cluster.nodes.resources", lambda: nodes)
    with refused(sentence) if sentence else nullcontext():
        options = Options(cpus_per_trial=cpus, gpus_per_trial=gpus)
        assert share_of([], complete(Toy()), {"CPU": 7.0, "GPU": 4.0}, options, Console()) == Share(cpus, gpus)


@pytest.mark.parametrize(
    ("share", "nodes", "slots", "pace"),
    [
        (Share(1, 0), [{"CPU": 8}], 8, 8),
        (Share(1, 1), [{"CPU": 8, "GPU": 4}], 4, 4),
        (Share(1, 1 / 2), [{"CPU": 8, "GPU": 1}], 2, 2),
        (Share(1, 1 / 64), [{"CPU": 16, "GPU": 1}], 16, 4),
        (Share(1, 1 / 64), [{"CPU": 16, "GPU": 2}], 16, 8),
        (Share(1, 0.4), [{"CPU": 16, "GPU": 4}], 8, 8),  # no trial has a part of each of two GPUs
        (Share(2, 0), [{"CPU": 3}, {"CPU": 3}, {}], 2, 2),  # nor processors of two nodes
        (Share(1, 1), [{"CPU": 64}, {"CPU": 2, "GPU": 8}], 2, 2),
        (Share(1, 2), [{"CPU": 8, "GPU": 5}, {"CPU": 8, "GPU": 1}], 2, 2),
        (Share(1, 1 / 8), [{"CPU": 1, "GPU": 1}, {"CPU": 8, "GPU": 1}], 9, 5),
        (Share(1, 1 / 8), [{"CPU": 8}], 1, 1),  # the nodes with a GPU are away for a while
    ],
)
def test_trials_have_room_on_single_nodes_and_gpus_and_those_that_share_one_take_turns(share, nodes, slots, pace):
    assert (share.slots(nodes), share.pace(nodes)) == (slots, pace)


def test_the_tensors_and_contexts_of_all_trials_fit_a_gpu():
    for count, gib in itertools.product(range(2, 65), range(16, 193)):
        memory = gib * 2**30
        tensors = share_of_tensors(1 / count, memory) * memory
        assert tensors > 0, (count, gib)
        if 2 * CONTEXT_BYTES * count <= memory:  # else a context alone takes more than half of a share
            assert count * (tensors + CONTEXT_BYTES) <= memory * (1 + 1e-9), (count, gib)


def test_a_trials_tensors_take_its_share_but_for_its_context_and_a_gpu_to_itself_whole():
    shares = [share_of_tensors(gpus, 80 * 2**30) for gpus in (0, 1, 2, 0.5, 0.01)]
    assert shares == [1, 1, 1, 0.5 - 800 / 81_920, 0.005]  # half of a share is the least


@pytest.mark.slow
def test_trials_are_packed_and_one_that_runs_out_gets_more_room(tmp_path, new_store):
    new_store(tmp_path)
    run_alone(run_studies, tmp_path)


def run_studies(folder: Path) -> None:
    """Run in a network of its own. Need and memory are stated, not measured; a "greedy" trial needs more than that."""
    with ray_cluster.running(head=("--num-gpus", "1", "--num-cpus", "4")) as cluster:
        cluster.add_worker("--num-cpus", "2")
        cluster.wait()
        toy = toy_folder(folder, "packed", environment=cluster.environment)
        packed = ("--address", cluster.address, "--gpus-per-trial", "auto")

        plan = toy.run_here(*packed, "--dry-run", "--seeds", "2")
        assert "3 trials to a GPU: large, which needs most, takes 4,000 MiB (measured)" in plan
        assert "with 3 at a time" in plan

        again = "ran out of GPU memory, attempt 2 goes on after epoch 1 of 2 with 67 % of a GPU"
        assert toy.run_here(*packed).count(again) == 1
    shares = {arm: [share for _, share in history["share"]] for (arm, _), history in toy.results().items()}
    assert shares == {"large": [0.3333, 0.3333], "greedy": [0.3333, 0.6666]}
