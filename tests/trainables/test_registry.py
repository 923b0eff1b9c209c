"""The members of a package by their names."""

import pytest

from trainables.methods import METHODS
from trainables.mixers import MIXERS, mixup
from trainables.registry import Registry


def test_a_file_without_its_member_is_named():
    """It was a ``KeyError`` of a name in capitals."""
    registry = Registry("trainables.mixers", {"mixup": "mixup", "mixpu": "mixup"})
    assert registry["mixup"] is mixup.mixup
    with pytest.raises(ValueError, match=r"mixers/mixup\.py defines neither 'mixpu' nor 'MIXPU'"):
        registry["mixpu"]


def test_what_the_processes_that_train_would_not_have_is_refused():
    """A study ended with "failed: KeyError: 'mine'" after its other arms had been trained."""
    for registry, file in ((MIXERS, "mixers"), (METHODS, "methods")):
        with pytest.raises(TypeError, match=rf"^'mine' must be a line of trainables/{file}/__init__\.py"):
            registry["mine"] = mixup.mixup
