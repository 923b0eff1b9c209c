"""What a platform asks of a configuration before a run of it starts."""

from collections.abc import Mapping
from typing import Any

from trainables.classify import train


def check(config: Mapping[str, Any]) -> None:
    """Raise the ``ValueError`` by which the classification refuses a configuration."""
    train.check(train.resolve(config).settings)
