"""Random choices that the whole batch shares and that the program itself must know, such as a layer."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Generator

T = TypeVar("T")
_allowed = True


@contextlib.contextmanager
def no_choices() -> Iterator[None]:
    """Refuse by ``ValueError`` every choice inside the block, because such a choice would hold for every batch."""
    global _allowed
    _allowed = False
    try:
        yield
    finally:
        _allowed = True


def choose(options: Sequence[T], rng: Generator) -> T:
    """Return one of ``options``, all equally likely, decided by ``rng`` and known without waiting for its device."""
    return options[_number(rng) % len(options)]


def happens(probability: float, rng: Generator) -> bool:
    """Return True with this probability, decided by ``rng`` and known without waiting for its device."""
    return _number(rng) < probability * 2**64


def _number(rng: Generator) -> int:
    """Return a number of 64 bits, all equally likely.

    A number drawn on a GPU would have to be read back, which stalls the GPU once a batch. The state of a generator, on
    a GPU a seed and a counter, lies in the memory of the host: its hash is the number, and one draw then moves the
    generator on.
    """
    if not _allowed:
        raise ValueError("the program chooses something anew for each batch")
    digest = hashlib.sha256(bytes(rng.get_state().tolist())).digest()
    torch.rand((), generator=rng, device=rng.device)
    return int.from_bytes(digest[:8], "big")
