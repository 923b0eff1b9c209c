"""The speeds of several sources of batches, taken in turn so that all see the same machine."""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping

from recording import record
from torch import Tensor

ROUNDS = 5

Batches = Iterable[tuple[Tensor, Tensor]]


def images_a_second(epoch: Callable[[], Batches]) -> float:
    """Return the speed of one epoch, batch after batch, without a network."""
    start = time.perf_counter()
    images = sum(len(labels) for _, labels in epoch())
    return images / (time.perf_counter() - start)


def compare(title: str, sources: Mapping[str, Callable[[], Batches]]) -> None:
    """Print a Markdown table of the median speeds, and of their ratios to the first source's."""
    for epoch in sources.values():
        images_a_second(epoch)  # starts workers, fills caches
    rounds = [[images_a_second(epoch) for epoch in sources.values()] for _ in range(ROUNDS)]
    medians = [statistics.median(speeds) for speeds in zip(*rounds, strict=True)]
    print(f"{title}, median of {ROUNDS} rounds in turn\n\n| source | images a second | ratio |\n|---|---:|---:|")
    first = next(iter(sources))
    for number, (name, speed) in enumerate(zip(sources, medians, strict=True)):
        if number > 0:
            record(f"images a second, {name} / {first}", [speeds[number] / speeds[0] for speeds in rounds])
        print(f"| {name} | {speed:,.0f} | {speed / medians[0]:.1f} |")
