"""What benchmarks share: options, steps and loaders timed in turn, and a record of what they find."""

import argparse
import json
import os
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.config import parse
from trainables.cost import noise_splits
from trainables.datasets.opening import open_splits
from trainables.device.hardware import device
from trainables.training import Run

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # a benchmark may use what the tests use
ROUNDS = 5  # in a comparison of loaders
Batches = Iterable[tuple[Tensor, Tensor]]
RECORD = "MIXLAB_BENCH_RECORD"  # names the file to which `make bench` lets every benchmark append


def arguments(doc: str | None, **defaults: str | float) -> argparse.ArgumentParser:
    """Return a parser with an option for each of ``defaults``, whose type it has: ``rounds=3`` makes ``--rounds``."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    return parser


def record(name: str, values: Sequence[float], unit: str = "times") -> float:
    """Return the median of ``values``; append it with its spread to the record, if there is one.

    Args:
        name: what was measured, and against what if ``unit`` is ``times``.
        values: one for each round.
        unit: ``times`` for a ratio.
    """
    median = statistics.median(values)
    if (path := os.environ.get(RECORD)) and set(values) != {1.0}:  # a ratio of a thing to itself says nothing
        line = {"benchmark": Path(sys.argv[0]).stem, "name": name, "unit": unit, "median": median}
        line |= {"low": min(values), "high": max(values), "n": len(values)}
        with Path(path).open("a") as file:
            file.write(json.dumps(line) + "\n")
    return median


def in_turn(
    steps: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    warm_up: bool = False,
) -> dict[str, list[float]]:
    """Return the seconds of every round by the name of the step; all steps take their turn in each round.

    With ``warm_up`` there is one round before these, which starts workers and fills caches.
    """
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + warm_up):
        for name, step in steps.items():
            found[name].append(seconds_of(step, clock))
    return {name: seconds[warm_up:] for name, seconds in found.items()}


def ratios(seconds: Mapping[str, Sequence[float]], name: str, to: str) -> list[float]:
    """Return how many times the seconds of ``to`` those of ``name`` are, round by round."""
    return [one / other for one, other in zip(seconds[name], seconds[to], strict=True)]


def seconds_of(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds of a call, until a GPU has finished."""
    synchronise()
    start = clock()
    work()
    synchronise()
    return clock() - start


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def run_on_noise(keys: Mapping[str, Any], batch: int = 100, steps: int = 1) -> Run:
    """Return a run of these settings on so many batches of CIFAR's size, of noise."""
    settings = parse({"dataset": "cifar10", "batch_size": batch, **keys})
    return Run(settings, 0, open_splits(settings, noise_splits(settings, batch * steps), device()))


def forward_flops(network: nn.Module, images: Tensor) -> float:
    """Return the operations of a forward pass; a multiplication and an addition are two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(images)
    return counter.get_total_flops()


def where() -> str:
    """Return the processor of the measurements, in words."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table under its title; all of its columns but the first are of numbers."""
    aligned = ("left", *("right" for _ in columns[1:]))
    print(f"{title}\n\n{tabulate(rows, columns, 'github', disable_numparse=True, colalign=aligned)}\n")


def compare(title: str, images: int, sources: Mapping[str, Callable[[], Batches]]) -> None:
    """Print a Markdown table of the median speeds of an epoch of images, and of their ratios to the first source's."""
    epochs = {name: lambda source=source: deque(source(), maxlen=0) for name, source in sources.items()}
    seconds = in_turn(epochs, ROUNDS, warm_up=True)
    print(f"{title}, median of {ROUNDS} rounds in turn\n\n| source | images a second | ratio |\n|---|---:|---:|")
    first = next(iter(sources))
    for name, found in seconds.items():
        ratio = record(f"images a second, {name} / {first}", ratios(seconds, first, name))
        print(f"| {name} | {images / statistics.median(found):,.0f} | {ratio:.1f} |")
