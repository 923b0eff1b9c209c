"""Which exceptions are an answer about a configuration, and which end the process that trains it."""

import pytest
import torch

from trainables.classify import train
from trainables.datasets.dataset import DataError
from trainables.epoch import Diverged
from trainables.parallel.processes import LostProcess

ANSWERS = (ValueError("a range"), DataError("no images"), Diverged("the loss is nan"))
FAULTS = (
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("shapes"),
    OSError(5, "Input/output error"),
    KeyError("a"),
    TypeError("b"),
    MemoryError(),
    LostProcess("one of 2"),
)


@pytest.mark.parametrize("error", [*ANSWERS, *FAULTS], ids=repr)
def test_only_what_training_documents_is_an_answer(error: Exception) -> None:
    """Anything else, such as an error of CUDA, may have broken its process for every later trial."""
    assert isinstance(error, train.final) == (error in ANSWERS)
