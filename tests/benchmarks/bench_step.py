"""Times a training step of each SUMix arm against the plain one, in turn, on the same batch.

    python tests/benchmarks/bench_step.py [--backbone resnet18] [--batch 100] [--rounds 15]

Prints a Markdown table: median milliseconds of a step (forward, backward, optimiser), and the median of the
ratios to the baseline's step of the same round. On a GPU it times the GPU.
"""

import argparse
import statistics
import time

import torch

from trainables.config import parse
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import open_splits
from trainables.hardware import device
from trainables.training import Run

ARMS = {
    "baseline": {},
    "+ lam": {"sumix.lam": "learned"},
    "+ l_s": {"sumix.lam": "learned", "sumix.regulariser": "s"},
    "+ l_u": {"sumix.lam": "learned", "sumix.regulariser": "u"},
    "+ l_su": {"sumix.lam": "learned", "sumix.regulariser": "su"},
}


def step_seconds(run: Run) -> float:
    """Return the seconds of one epoch of one batch."""
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    run.train_epoch(1)
    if run.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--backbone", default="resnet8")
    options.add_argument("--mixer", default="cutmix")
    options.add_argument("--batch", type=int, default=100)
    options.add_argument("--rounds", type=int, default=15)
    given = options.parse_args()

    base = {"dataset": "cifar10", "backbone": given.backbone, "mixer": given.mixer, "batch_size": given.batch}
    noise = torch.randint(0, 256, (given.batch, 3, 32, 32), dtype=torch.uint8)
    split = Split(noise, torch.arange(given.batch) % 10)
    settings = {arm: parse({**base, **changes}) for arm, changes in ARMS.items()}
    runs = {
        arm: Run(config, 0, open_splits(config, Splits(split, split), device())) for arm, config in settings.items()
    }
    for run in runs.values():
        step_seconds(run)
    rounds = [{arm: step_seconds(run) for arm, run in runs.items()} for _ in range(given.rounds)]

    where = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{torch.get_num_threads()} CPU threads"
    print(f"Training step, {given.backbone}, {given.mixer}, batch {given.batch} at 32x32, {where}, ", end="")
    print(f"medians of {given.rounds} rounds\n\n| arm | ms a step | times the baseline |\n| --- | ---: | ---: |")
    for arm in ARMS:
        milliseconds = 1000 * statistics.median(times[arm] for times in rounds)
        ratio = statistics.median(times[arm] / times["baseline"] for times in rounds)
        print(f"| {arm} | {milliseconds:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
