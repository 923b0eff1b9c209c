"""Random numbers that are the same each time."""

from torch import Generator


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)
