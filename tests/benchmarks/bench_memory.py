"""Measures what a process holds after each of many short trials, each in a thread of its own, as Ray Tune runs them.

    python tests/benchmarks/bench_memory.py [--trials 200] [--data-root data]

Prints resident memory every ten trials, MiB, and the peak that the trial reports as its own. Growth comes from what C
libraries keep: no Python object of a trial is left.
"""

import gc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import torch
from recording import arguments, record

from trainables import classify
from trainables.device.memory import MIB

CONFIG = {"dataset": "cifar10", "backbone": "resnet8", "init": "torch_default", "batch_size": 32, "epochs": 1}
SMALL = {"train_images": 320, "test_images": 200}
MIXERS = ("none", "cutmix", "mixup", "saliencymix", "fmix", "puzzlemix")  # trials of a study differ


def trial(number: int, data_root: Path) -> float:
    """Train once in a new thread; return the peak that is reported."""
    config = {**CONFIG, **SMALL, "mixer": MIXERS[number % len(MIXERS)]}
    with ThreadPoolExecutor(1) as thread:
        end = thread.submit(classify.train, config, number, data_root=data_root).result()
    return end.metrics["peak_memory_mib"]


def main() -> None:
    options = arguments(__doc__, trials=200, data_root="data").parse_args()
    torch.set_num_threads(1)
    print("| trials | resident MiB | above the first | peak of the trial |\n|---:|---:|---:|---:|")
    first = 0.0
    for number in range(options.trials):
        peak = trial(number, Path(options.data_root))
        gc.collect()
        held = psutil.Process().memory_info().rss / MIB
        first = first or held
        if number == 0 or (number + 1) % 10 == 0:
            print(f"| {number + 1} | {held:.0f} | {held - first:+.0f} | {peak:.0f} |", flush=True)
    record(f"memory after {options.trials} trials / after the first", [held / first])


if __name__ == "__main__":
    main()
