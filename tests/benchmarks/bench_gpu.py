"""Times training on a GPU against what the GPU can do, and several trials that share it against one.

    python tests/benchmarks/bench_gpu.py [--backbones resnet18,resnet20] [--batches 100,1024] [--processes 1,2,4,8]

Prints Markdown tables, on images of noise: two ceilings, a large bfloat16 matrix product and a copy; a step of the
training loop, launched kernel by kernel, as one CUDA graph (``cuda_graph=true``), and compiled as well; the loader and
the test, each with what it must keep up with; and the images a second of several processes at once. The operations of
a step are those of the forward pass, counted and taken three times. Where there is no GPU it says so, and that is all.
About eight minutes.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from recording import ROUNDS, arguments, forward_flops, run_on_noise, seconds_of

from trainables.evaluation import test_batch
from trainables.seeds import generator
from trainables.training import Run

STEPS = 50  # an epoch
# A step, and the keys of the configuration for it.
HOW: dict[str, dict[str, Any]] = {
    "launched": {},
    "graph": {"cuda_graph": True},
    "compiled graph": {"cuda_graph": True, "compile": True},
}
SHARED = ("launched", "graph")  # those that several processes are tried with
SIDE = 8192  # the side of the square matrices
COPIED = 2**30  # bytes


def main() -> None:
    lists = {"backbones": "resnet18,resnet20", "batches": "100,1024", "processes": "1,2,4,8", "steps": ",".join(HOW)}
    parser = arguments(__doc__, **lists, mixer="cutmix", precision="auto", seconds=5.0)
    parser.add_argument("--child", choices=HOW, help=argparse.SUPPRESS)
    given = parser.parse_args()
    keys = {"mixer": given.mixer, "precision": given.precision}
    backbones, batches = given.backbones.split(","), [int(batch) for batch in given.batches.split(",")]
    if not torch.cuda.is_available():
        print("No GPU can be used here, so nothing was measured.")
        return
    if given.child:
        settings = {**keys, "backbone": backbones[0], "batch_size": batches[0], **HOW[given.child]}
        train_on_signal(run_of(settings), given.seconds)
        return

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {given.mixer}, precision {given.precision}\n")
    peak = matmul_tflops()
    print(f"bfloat16 matrix product {peak:.0f} TFLOP/s, copy {copy_terabytes():.2f} TB/s (read and written)\n")
    print("| backbone | batch | step | ms | images/s | TFLOP/s | of the product |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    runs = {}
    for backbone, batch, how in itertools.product(backbones, batches, given.steps.split(",")):
        run = run_of({**keys, "backbone": backbone, "batch_size": batch, **HOW[how]})
        runs[backbone, batch, how] = run
        step = step_seconds(run)
        image = next(iter(run.test_set.test_batches(1)))[0]
        rate = 3 * forward_flops(run.method.network.eval(), image) * batch / step / 1e12
        print(f"| {backbone} | {batch} | {how} | {1000 * step:.2f} | {batch / step:,.0f} | ", end="")
        print(f"{rate:.1f} | {rate / peak:.1%} |", flush=True)

    print("\n| backbone | step | loader, images/s | a step needs | test, images/s | forward alone |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for (backbone, batch, how), run in runs.items():
        if batch == batches[0]:
            rates = [loader_rate(run), batch / step_seconds(run), *test_rates(run)]
            print(f"| {backbone} | {how} | " + " | ".join(f"{rate:,.0f}" for rate in rates) + " |", flush=True)

    print(f"\nSeveral processes at once, batch {batches[0]}\n\n| backbone | step | processes | images/s | times one |")
    print("| --- | --- | ---: | ---: | ---: |")
    for backbone, how in itertools.product(backbones, SHARED):
        alone = 0.0
        for count in (int(count) for count in given.processes.split(",")):
            rate = together(backbone, batches[0], count, how, given)
            alone = alone or rate / count
            print(f"| {backbone} | {how} | {count} | {rate:,.0f} | {rate / alone:.2f} |", flush=True)


def run_of(keys: dict[str, Any]) -> Run:
    """Return a run on ``STEPS`` batches of noise, warmed up."""
    run = run_on_noise(keys, keys["batch_size"], STEPS)
    run.train_epoch(1)
    return run


def seconds(work: Callable[[], object]) -> float:
    """Return the median time of ``work``, measured until the GPU has finished."""
    return statistics.median([seconds_of(work) for _ in range(ROUNDS + 1)][1:])


def matmul_tflops() -> float:
    """Return the speed of ten products of random bfloat16 matrices."""
    a, b = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 10 * 2 * SIDE**3 / seconds(lambda: [a @ b for _ in range(10)]) / 1e12


def copy_terabytes() -> float:
    """Return the terabytes that a copy reads and writes in a second."""
    source = torch.randint(256, (COPIED,), device="cuda", dtype=torch.uint8)
    target = torch.empty_like(source)
    return 10 * 2 * COPIED / seconds(lambda: [target.copy_(source) for _ in range(10)]) / 1e12


def step_seconds(run: Run) -> float:
    """Return the time of a step of the training loop, with its share of what is done once an epoch."""
    return seconds(lambda: run.train_epoch(2)) / STEPS


def loader_rate(run: Run) -> float:
    """Return the images a second of the training batches, without a network."""
    size = run.settings.batch_size

    def epoch() -> None:
        for _ in run.train_set.train_batches(size, generator(0, "data", 1), generator(0, "augment", 1, "cuda")):
            pass

    return size * STEPS / seconds(epoch)


def test_rates(run: Run) -> tuple[float, float]:
    """Return the images a second of the test, and of its forward passes alone on a batch that is on the device."""
    assert run.test_set is not None
    source, network = run.test_set, run.method.evaluated.eval()
    images = next(iter(source.test_batches(test_batch(run.settings))))[0]

    def forward() -> None:
        with torch.no_grad(), torch.autocast("cuda", run.precision, enabled=run.precision != torch.float32):
            for _ in range(10):
                network(images)

    return len(source) / seconds(lambda: run.evaluate(source)), 10 * len(images) / seconds(forward)


def train_on_signal(run: Run, duration: float) -> None:
    """Say that the run is ready, wait for a line, train for ``duration`` seconds, and print the images a second."""
    torch.set_num_threads(1)
    print("ready", flush=True)
    sys.stdin.readline()
    epochs, start = 0, time.perf_counter()
    while time.perf_counter() - start < duration:
        run.train_epoch(2)
        epochs += 1
    print(epochs * STEPS * run.settings.batch_size / (time.perf_counter() - start), flush=True)


def together(backbone: str, batch: int, count: int, how: str, given: argparse.Namespace) -> float:
    """Return the images a second of ``count`` processes that train at once, added up."""
    command = [sys.executable, __file__, "--child", how, "--backbones", backbone, "--batches", str(batch)]
    command += ["--mixer", given.mixer, "--precision", given.precision, "--seconds", str(given.seconds)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
    ]
    return sum(rates(children))


def rates(children: Sequence[subprocess.Popen[str]]) -> list[float]:
    """Start all children once all are ready, and return what each prints."""
    for child in children:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdout.readline()
    for child in children:
        child.stdin.write("go\n")  # type: ignore[union-attr]
        child.stdin.flush()  # type: ignore[union-attr]
    return [float(child.communicate()[0]) for child in children]


if __name__ == "__main__":
    main()
