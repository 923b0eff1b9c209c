"""The memory that a run needs on a GPU, and a GPU that is full."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from trainables import cost
from trainables.config import parse
from trainables.datasets.dataset import Split, Splits

SETTINGS = parse({"dataset": "cifar10", "backbone": "resnet8", "batch_size": 4})
# As torch 2.11 raised them on an H100 that was full.
FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    torch.AcceleratorError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in the documentation."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    # Of FMix: https://github.com/pytorch/pytorch/issues/119420
    RuntimeError("cuFFT error: CUFFT_INTERNAL_ERROR"),
    # https://github.com/pytorch/pytorch/issues/108645
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("Triton Error [CUDA]: out of memory"),  # by its source
]


SPLIT = Split(torch.zeros(6, 3, 32, 32, dtype=torch.uint8), torch.arange(6))


@pytest.fixture
def gpu(monkeypatch):
    """Let torch say that there is a GPU, with six images in its data set."""
    monkeypatch.setattr(cost, "images_of", lambda *_: Splits(SPLIT, SPLIT))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (512 * 2**20, 2**35))


def raises(error: Exception) -> None:
    raise error


@pytest.mark.parametrize("error", FULL, ids=repr)
@pytest.mark.usefixtures("gpu")
def test_a_full_gpu_is_one_sentence_whoever_notices(error, monkeypatch, tmp_path):
    sentence = "resnet8 with batches of 4 does not fit the {} MiB that the GPU has"
    monkeypatch.setattr(cost, "_run", lambda *_: raises(error))  # the first step
    with pytest.raises(ValueError, match=sentence.format(512)):
        cost.gpu_memory(SETTINGS, tmp_path)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: raises(error))  # already the context
    with pytest.raises(ValueError, match=sentence.format(0)):
        cost.gpu_memory(SETTINGS, tmp_path)


@pytest.mark.usefixtures("gpu")
def test_another_error_stays_what_it_is(monkeypatch, tmp_path):
    monkeypatch.setattr(cost, "_run", lambda *_: raises(RuntimeError("CUDA error: device-side assert triggered")))
    with pytest.raises(RuntimeError, match="device-side assert"):
        cost.gpu_memory(SETTINGS, tmp_path)


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("streamed", "graphed", "steps", "evaluate"),
    [(False, None, 2, "test"), (True, None, 2, "test"), (False, "graph", 6, "test"), (False, None, 2, "validation")],
)
def test_the_memory_of_a_run_is_that_of_a_few_steps_its_data_and_cuda(
    streamed, graphed, steps, evaluate, monkeypatch, tmp_path
):
    epochs, tests = [], []
    run = SimpleNamespace(train_epoch=epochs.append, evaluation=lambda: tests.append(1), graphed=graphed)
    images = [SPLIT, SPLIT.take(slice(5))]  # for training, and for testing
    if streamed:
        images = [SimpleNamespace(take=each.take) for each in images]  # which stay on disk
    given = []
    monkeypatch.setattr(cost, "images_of", lambda *_: Splits(*images))
    monkeypatch.setattr(cost, "_run", lambda settings, splits: given.append(splits) or run)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 100 * 2**20)
    data_set = 0 if streamed else (6 + 5) * 3 * 32 * 32 / 2**20
    settings = replace(SETTINGS, evaluate=evaluate)
    assert cost.gpu_memory(settings, tmp_path) == pytest.approx((100 + data_set + 800, 512 + 800))
    tested = 5 if evaluate == "test" else 6  # of which a run holds some out
    assert [len(split.labels) for split in given[0]] == [4, tested]  # a batch of training, and one of testing
    assert (epochs, len(tests)) == (list(range(1, 1 + steps)), steps)


def test_without_a_gpu_there_is_no_memory_to_measure(tmp_path):
    with pytest.raises(ValueError, match=r"^the memory of a trial cannot be measured: torch sees no GPU$"):
        cost.gpu_memory(SETTINGS, tmp_path)
