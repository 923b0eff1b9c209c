"""What a refusal says, what it quotes of a library's error, and which exceptions are no refusal but end the process."""

import re
import subprocess
import sys
from typing import Literal

import pytest
import torch

from trainables.backbones import BACKBONES
from trainables.classify import train
from trainables.config import checked
from trainables.datasets import DATASETS
from trainables.datasets.dataset import DataError
from trainables.epoch import Diverged
from trainables.mixers import MIXERS
from trainables.parallel.processes import LostProcess
from trainables.refusals import counted, first_line, require_known

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


def test_errors_and_numbers_are_told_in_few_words():
    assert first_line(RuntimeError("\nmat1 and mat2\ndo not fit")) == "mat1 and mat2"
    assert first_line(AssertionError()) == "AssertionError"
    told = [counted(*of) for of in ((0, "image"), (1, "image"), (2, "image"), (1, "class"), (9, "class"), (4, "patch"))]
    assert told == ["0 images", "1 image", "2 images", "1 class", "9 classes", "4 patches"]


FEW = ("none", "cutmix")


@pytest.mark.parametrize(
    ("kind", "given", "known", "answer"),
    [
        ("mixer", "CUTMX", FEW, "did you mean 'cutmix'?"),
        ("mixer", "xyz", FEW, "there are 'none', 'cutmix'"),
        ("mixer", "", FEW, "there are 'none', 'cutmix'"),
        ("backbone", "resnet101", BACKBONES, "did you mean 'resnet101_imagenet'?"),
        ("backbone", "reset50_im", BACKBONES, "did you mean 'resnet50_imagenet'?"),
        ("dataset", "tinyy", DATASETS, "did you mean 'tiny_imagenet'?"),
        ("dataset", "Cifar", DATASETS, "did you mean 'cifar10', 'cifar100' or 'cifar8'?"),
    ],
)
def test_the_nearest_name_is_found_whatever_its_case(kind, given, known, answer):
    with pytest.raises(ValueError, match=f"^{re.escape(f'unknown {kind} {given!r}; {answer}')}$"):
        require_known(kind, given, known)


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        ((0.1,), tuple[float, float], "key must be a list of more values, got (0.1,)"),
        ((0.1, 0.2, 0.3), tuple[float, float], "key must be a list of at most 2 values, got (0.1, 0.2, 0.3)"),
        (5, tuple[float, float], "key must be a list, got 5"),
        (1.5, int, "key must be a whole number, got 1.5"),
        (True, int, "key must be a whole number, got True"),
        ("z", int | None, "key must be a whole number, got 'z'"),
        ("z", float, "key must be a number, got 'z'"),
        (2, bool, "key must be true or false, got 2"),
        (1, str, "key must be text, got 1"),
        ("q", Literal["a", "b"], "key must be 'a' or 'b', got 'q'"),
    ],
)
def test_what_is_wanted_of_a_value_is_said_in_plain_words(value, kind, sentence):
    """The library's own words would make "must be Field required" and "must be a integer"."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        checked("key", value, kind)


def test_only_what_training_documents_is_an_answer():
    """Anything else, such as an error of CUDA, may have broken its process for every later trial."""
    assert all(isinstance(error, train.final) for error in ANSWERS)
    assert not any(isinstance(error, train.final) for error in FAULTS)


def test_names_are_known_before_torch_is_imported():
    code = """
import sys
from trainables.backbones import BACKBONES
from trainables.datasets import DATASETS
from trainables.mixers import MIXERS
assert "cutmix" in MIXERS and "resnet8" in BACKBONES and len(list(DATASETS)) > 10
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(KeyError, match="cutmx"):
        MIXERS["cutmx"]
