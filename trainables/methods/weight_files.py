"""Files of weights that a mixer's option names: they are read by ``weights_only`` and never trained."""

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from trainables.refusals import first_line

UNREADABLE = (OSError, RuntimeError, pickle.UnpicklingError, TypeError, AttributeError, LookupError, ValueError)


@contextmanager
def weights_in(file: str, option: str, content: str) -> Iterator[Any]:
    """Yield the weights in a file; raise ``ValueError``, one sentence, if they cannot be read or used in the block.

    The message says that ``option``, which names the file, must hold ``content``.
    """
    try:
        yield torch.load(file, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"{option} must hold {content}, got {file!r}: {first_line(error)}") from None
