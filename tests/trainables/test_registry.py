"""The members of a package by their names."""

import pytest

from trainables.mixers import mixup
from trainables.registry import Registry


def test_a_file_without_its_member_is_named():
    """It was a ``KeyError`` of a name in capitals."""
    registry = Registry("trainables.mixers", {"mixup": "mixup", "mixpu": "mixup"})
    assert registry["mixup"] is mixup.mixup
    with pytest.raises(ValueError, match=r"mixers/mixup\.py defines neither 'mixpu' nor 'MIXPU'"):
        registry["mixpu"]
