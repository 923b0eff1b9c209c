"""The registries: names are known before anything is imported, and every name leads to what it names."""

import subprocess
import sys

import pytest

from trainables.backbones import BACKBONES
from trainables.datasets import DATASETS, EVALUATION_SETS
from trainables.mixers import MIXERS
from trainables.registry import Registry


@pytest.mark.parametrize("registry", [BACKBONES, MIXERS])
def test_every_name_leads_to_a_function(registry: Registry) -> None:
    assert all(map(callable, registry.values()))


@pytest.mark.parametrize("registry", [DATASETS, EVALUATION_SETS])
def test_every_name_leads_to_a_data_set(registry: Registry) -> None:
    assert all(callable(member.load) for member in registry.values())


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
