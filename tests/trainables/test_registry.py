"""The registries: names are known before anything is imported."""

import subprocess
import sys

import pytest

from trainables.mixers import MIXERS


def test_names_are_known_before_torch_is_imported() -> None:
    code = """
import sys
from trainables.backbones import BACKBONES
from trainables.datasets import DATASETS
from trainables.mixers import MIXERS
assert "cutmix" in MIXERS and "resnet8" in BACKBONES and len(list(DATASETS)) > 10
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="cutmx"):
        MIXERS["cutmx"]
