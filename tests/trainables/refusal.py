"""What a platform asks of a configuration before a run of it starts."""

from collections.abc import Mapping
from typing import Any

import pytest

from trainables.classify import train

BASE = {"dataset": "cifar10", "backbone": "resnet8"}
FOLDER = {"dataset": "folder", "folder": "flowers", "num_classes": 3}
OF_TOKENS = ("transmix", "mergemix")  # mixers that read a class token's attention


def check(config: Mapping[str, Any]) -> None:
    """Raise the ``ValueError`` by which the classification refuses a configuration."""
    train.check(train.resolve(config).settings)


def require_refused(config: dict[str, Any], *named: str) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]*$") as refused:
        check(config)
    assert all(word in str(refused.value) for word in named), (config, refused.value)
