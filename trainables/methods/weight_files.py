"""Files of weights that a mixer's option names: they are read by ``weights_only`` and never trained."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

UNREADABLE = (OSError, RuntimeError, pickle.UnpicklingError, TypeError, AttributeError, LookupError, ValueError)


@contextmanager
def weights_in(file: str, option: str, content: str) -> Iterator[Any]:
    """Yield what the file holds; raise ``ValueError``, one sentence, if it or the block's use of it fails.

    Args:
        file: the path.
        option: the option that names it, for the message.
        content: the weights that it must hold, for the message.
    """
    try:
        yield torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{option} must hold {content}, got {file!r}: {reason}") from None
