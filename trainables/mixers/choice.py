"""A random choice that the whole batch shares and that the program itself must know, such as a layer."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Generator

T = TypeVar("T")


def choose(options: Sequence[T], rng: Generator) -> T:
    """Return one of ``options``, all equally likely, decided by ``rng`` and known without waiting for its device.

    A number drawn on a GPU would have to be read back, which stalls it once a batch. The state of a
    generator, there a seed and a counter, lies in the memory of the host: its hash decides, and one draw
    then moves the generator on.

    Raises:
        ValueError: there is nothing to choose from.
    """
    if not options:
        raise ValueError("nothing to choose from")
    digest = hashlib.sha256(bytes(rng.get_state().tolist())).digest()
    torch.rand((), generator=rng, device=rng.device)
    return options[int.from_bytes(digest[:8], "big") % len(options)]
