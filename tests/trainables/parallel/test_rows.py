"""Two processes on the CPU train to the numbers of one, in float64; a lost one is named."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from psutil import Process
from torch import Generator, Tensor, nn

from tests.trainables.runs import run_of
from trainables.classify import train
from trainables.config import parse
from trainables.methods import build_method
from trainables.parallel import rows
from trainables.parallel.processes import LostProcess, accompanied, require_devices
from trainables.parallel.rows import count, gradients_kept, own_rows, rank, shared, shares, spread

STEPS = 3
BATCH = 7  # an odd number: two processes cannot share it evenly
SUMIX = {"sumix.lam": "learned", "sumix.regulariser": "su"}
CASES = {
    "plain": {"mixer": "none"},
    "cutmix": {"mixer": "cutmix"},
    "mixup in groups": {"mixer": "mixup", "mixer.groups": 2},
    "sumix": {"mixer": "cutmix", **SUMIX},
    "sumix, learning before mixing": {"mixer": "mixup", **SUMIX, "sumix.raw_forward": "train_grad", "clean_loss": 0.5},
    "saliency": {"mixer": "puzzlemix"},
    "maps": {"mixer": "manifoldmix"},
    "automix": {"mixer": "automix", "mixer.layer": 2},
    "momentum": {"mixer": "mixup", "mixer.pipeline": "mp_ce"},
    "parts": {"mixer": "cutmix", "accumulate": 2},
    "no batch norm": {"mixer": "cutmix", "backbone": "vit_tiny_32"},
}
Found = dict[str, dict[str, Tensor]]


def steps(keys: dict[str, Any]) -> dict[str, Tensor]:
    """Take some steps in float64, and return every loss, the last gradients, and the state after them."""
    config = parse({"dataset": "cifar10", "backbone": "resnet8", **keys})
    method = build_method(config, 0).double().train()
    trained, rng = shared(method), Generator().manual_seed(5)
    sgd = torch.optim.SGD([weight for weight in method.parameters() if weight.requires_grad], lr=0.1, momentum=0.9)
    found = {}
    for step in range(STEPS):
        images, labels = torch.rand(BATCH, 3, 32, 32, generator=rng).double(), torch.arange(BATCH) % 3
        sgd.zero_grad()
        size = -(-BATCH // config.accumulate)
        parts = list(zip(images.split(size), labels.split(size), strict=True))
        for number, part in enumerate(parts):
            with gradients_kept(trained, last=part is parts[-1]):
                loss, log = trained(*part, rng)
                (loss * len(part[0]) / BATCH).backward()
            found |= {f"step {step}.{number} {name}": value for name, value in {"loss": loss.detach(), **log}.items()}
        found |= {f"gradient {name}": each.grad for name, each in method.named_parameters() if each.grad is not None}
        sgd.step()
        method.after_step(step / STEPS)
    return {name: value.clone() for name, value in (found | method.state_dict()).items()}


def all_cases(file: Path) -> None:
    """Save what this process finds."""
    found: Found = {name: steps(keys) for name, keys in CASES.items()}
    found["normalised"] = normalised()
    assert {each.laddr.ip for each in Process().net_connections() if each.status == "LISTEN"} <= {"127.0.0.1"}
    torch.save(found, file.with_suffix(f".{rank()}"))


def normalised() -> dict[str, Tensor]:
    """Return what batch norm makes of a batch, its running statistics, and the gradients of a loss across rows."""
    rng = Generator().manual_seed(3)
    norm = nn.BatchNorm2d(4).double()
    batch = torch.randn(BATCH, 4, 3, 2, generator=rng, dtype=torch.float64).mul_(3).add_(100).requires_grad_()
    weights = torch.randn(BATCH, BATCH, generator=rng, dtype=torch.float64)
    out = spread(norm, batch).flatten(1)
    gradients = torch.autograd.grad((weights * (out @ out.T).tanh()).sum(), (batch, norm.weight, norm.bias))
    names = ("batch", "weight", "bias")
    return {"out": out.detach(), **norm.state_dict(), **dict(zip(names, gradients, strict=True))}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Return what one process finds alone, and what each of two finds."""
    alone, together = (tmp_path_factory.mktemp("found") / name for name in ("alone", "together"))
    all_cases(alone)
    with accompanied(2, all_cases, together):
        all_cases(together)
    return [
        torch.load(file) for file in (alone.with_suffix(".0"), together.with_suffix(".0"), together.with_suffix(".1"))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_processes_train_to_the_numbers_of_one(found, case):
    alone, *together = (each[case] for each in found)
    for process in together:
        assert process.keys() == alone.keys()
        for name, value in alone.items():
            # Sums of up to 7 x 32 x 32 numbers, in another order, through some steps.
            torch.testing.assert_close(process[name], value, rtol=1e-8, atol=1e-10, msg=f"{case}: {name}")


@pytest.mark.slow
def test_batch_norm_is_torchs_over_the_rows_of_all(found):
    alone, *together = (each["normalised"] for each in found)
    rows = [slice(0, 3), slice(3, 7)]
    for process, own in zip(together, rows, strict=True):
        for name in ("out", "running_mean", "running_var", "num_batches_tracked", "batch"):
            torch.testing.assert_close(process[name], alone[name], rtol=1e-11, atol=1e-12, msg=name)
        assert own == shares(BATCH, 2)[rows.index(own)]
    for name in ("weight", "bias"):  # twice each process's own: DistributedDataParallel takes their mean
        mean = (together[0][name] + together[1][name]) / 2
        torch.testing.assert_close(mean, alone[name], rtol=1e-11, atol=1e-12)


def test_one_process_is_left_as_it_is():
    assert (count(), rank(), own_rows(5)) == (1, 0, slice(0, 5))
    method = nn.Linear(2, 2)
    assert shared(method) is method
    with accompanied(1, fail):
        pass


def test_a_run_names_the_hardware_of_all_processes_and_each_drops_paths_of_its_own(monkeypatch):
    losses = []
    for number in (0, 0, 1):
        monkeypatch.setattr(rows, "rank", lambda number=number: number)
        losses.append(run_of(8, batch_size=4, drop_path=0.5).train_epoch(1)[0]["train_loss"])
    assert losses[0] == losses[1] != losses[2]
    monkeypatch.setattr(rows, "count", lambda: 2)
    monkeypatch.setattr(rows, "shared", lambda method: method)
    assert run_of(8).words["hardware"].startswith("2 x ")


@pytest.mark.parametrize(
    "wrapper",
    [
        lambda module, *, broadcast_buffers=True, find_unused_parameters: broadcast_buffers,  # torch 2.11
        lambda module, *, broadcast_buffers=None, forward_sync_buffers=None, find_unused_parameters: (
            forward_sync_buffers if broadcast_buffers is None else "deprecated"
        ),
    ],
)
def test_no_buffers_are_sent_in_any_version_of_torch(wrapper, monkeypatch):
    monkeypatch.setattr(rows, "count", lambda: 2)
    monkeypatch.setattr(rows, "DistributedDataParallel", wrapper)
    assert shared(nn.Linear(2, 2)) is False


@pytest.mark.parametrize(("total", "parts", "sizes"), [(7, 2, [3, 4]), (8, 3, [2, 3, 3]), (6, 3, [2, 2, 2])])
def test_rows_are_shared_out_as_evenly_as_possible(total, parts, sizes):
    rows = [list(range(total))[share] for share in shares(total, parts)]
    assert [row for share in rows for row in share] == list(range(total))
    assert [len(share) for share in rows] == sizes


def test_more_processes_than_gpus_are_refused_before_any_is_started(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    require_devices(2)
    sentence = "^processes must be at most 2, the number of GPUs, each of which takes one, got 3$"
    with pytest.raises(ValueError, match=sentence), accompanied(3, fail):
        pass


def fail() -> None:
    raise ArithmeticError("no such number")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "account"),
    [
        (fail, "process 1 of the 2 that train together ended with exit code 1: ArithmeticError: no such number"),
        (die, "process 1 of the 2 that train together was ended by SIGKILL"),
    ],
)
def test_a_process_that_is_lost_is_named(end, account, monkeypatch):
    ask = os.waitpid

    def ask_last(pid, options):
        """Let any other thread ask first for an exit code, of which Linux tells once, and keep it for a while."""
        here = threading.current_thread() is threading.main_thread()
        time.sleep(1 if here else 0)
        answer = ask(pid, options)
        time.sleep(0 if here else 20)
        return answer

    monkeypatch.setattr(os, "waitpid", ask_last)
    with pytest.raises(LostProcess) as lost, accompanied(2, end):
        dist.barrier()
    assert str(lost.value) == account


def wait_at_the_end(change: Callable[[object, str, object], None] = setattr) -> None:
    """Let the end of this process's group wait for the others, as with NCCL, unless it is aborted before."""
    end, abort, aborted = dist.destroy_process_group, dist.ProcessGroup.abort, []

    def wait_and_end() -> None:
        if not aborted:
            dist.monitored_barrier(timeout=timedelta(seconds=20))
        end()

    change(dist.ProcessGroup, "abort", lambda group: aborted.append(group) or abort(group))
    change(dist, "destroy_process_group", wait_and_end)


@pytest.mark.slow
@pytest.mark.parametrize("end", [lambda: None, fail])
def test_processes_end_their_group_together_or_abort_it(end, monkeypatch):
    with contextlib.suppress(ArithmeticError), accompanied(2, wait_at_the_end):
        wait_at_the_end(monkeypatch.setattr)
        end()
    assert not dist.is_initialized()


@pytest.mark.parametrize("key", ["compile", "cuda_graph"])
def test_what_is_for_one_process_alone_is_refused(key):
    settings = train.resolve({"dataset": "cifar10", key: True}).settings
    for start in (train.check, partial(train, seed=0)):
        with pytest.raises(ValueError, match=f"{key} must be False where several processes train one run, got 2 of "):
            start(settings, processes=2)
