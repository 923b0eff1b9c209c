"""What a refusal says, what it quotes of a library's error, and which exceptions are no refusal but end the process."""

import subprocess
import sys

import pytest
import torch

from trainables.backbones import BACKBONES
from trainables.classify import train
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


def test_an_error_is_told_in_one_line_and_one_without_words_by_its_name():
    assert first_line(RuntimeError("\nmat1 and mat2\ndo not fit")) == "mat1 and mat2"
    assert first_line(AssertionError()) == "AssertionError"


def test_things_are_counted_in_the_singular_and_in_the_plural():
    assert [counted(number, "image") for number in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert [counted(number, "class") for number in (1, 1000)] == ["1 class", "1000 classes"]
    assert counted(4, "patch") == "4 patches"


def test_the_nearest_name_is_found_whatever_its_case():
    with pytest.raises(ValueError, match=r"^unknown mixer 'CUTMIX'; did you mean 'cutmix'\?$"):
        require_known("mixer", "CUTMIX", ["none", "cutmix"])
    with pytest.raises(ValueError, match=r"^unknown mixer 'xyz'; there are 'none', 'cutmix'$"):
        require_known("mixer", "xyz", ["none", "cutmix"])
    with pytest.raises(ValueError, match=r"unknown backbone 'resnet9'; did you mean 'resnet8'\?"):
        require_known("backbone", "resnet9", BACKBONES)
    with pytest.raises(ValueError, match=r"unknown backbone 'resnet101'; did you mean 'resnet101_imagenet'\?"):
        require_known("backbone", "resnet101", BACKBONES)
    with pytest.raises(ValueError, match=r"unknown dataset 'Cifar'; did you mean 'cifar10', 'cifar100' or 'cifar8'\?"):
        require_known("dataset", "Cifar", DATASETS)
    with pytest.raises(ValueError, match=r"unknown mixer ''; there are 'none', 'cutmix'"):
        require_known("mixer", "", ["none", "cutmix"])
    with pytest.raises(KeyError, match="cutmx"):
        MIXERS["cutmx"]


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
