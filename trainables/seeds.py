"""One random stream per purpose, so that switching a term changes nothing else and an epoch can be replayed."""

import hashlib

import torch
from torch import Generator


def derive_seed(seed: int, purpose: str, epoch: int = 0) -> int:
    """Return a 63-bit seed from (seed, purpose, epoch), by SHA-256: the same on every machine and Python."""
    digest = hashlib.sha256(f"{seed}/{purpose}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, purpose: str, epoch: int = 0, device: str | torch.device = "cpu") -> Generator:
    """Return a fresh generator on ``device`` for one purpose (``data``, ``init``, ``mixer``, ``augment``) and epoch."""
    return Generator(device).manual_seed(derive_seed(seed, purpose, epoch))
