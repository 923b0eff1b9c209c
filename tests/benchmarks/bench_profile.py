"""Shows where the time of a training step goes on a processor, and what share of its peak that is.

    python tests/benchmarks/bench_profile.py [--backbones resnet8,resnet20] [--batch 100] [--steps 5]

Prints a Markdown table of the self time of torch's operations by kind, from torch.profiler, on one thread, and the
operations a second beside those of a large matrix product. The operations of a step are those of the forward pass,
counted and taken three times. Run it on a quiet machine: it takes the time of the clock.
"""

from collections import Counter
from functools import partial

import torch
from recording import arguments, forward_flops, record, run_on_noise, seconds_of
from torch.profiler import profile

KINDS = {  # by kind, parts of operations' names; the first that fits counts
    "convolutions": ("mkldnn_convolution", "convolution", "conv2d", "mkldnn_rnn"),
    "batch norm": ("batch_norm",),
    "optimiser": ("_foreach", "_fused_sgd", "Optimizer"),
    "ReLU, additions and other passes over the maps": (
        *("relu", "threshold", "add", "clamp", "mul", "div", "sub", "mean", "sum", "copy_", "lerp", "fill_", "expand"),
    ),
}
SIDE = 2048  # the side of the square matrices


def kind_of(name: str) -> str:
    for kind, parts in KINDS.items():
        if any(part in name for part in parts):
            return kind
    return "the rest: loss, draws, indices, Python"


def peak() -> float:
    """Return the operations a second of a product of square matrices."""
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    return 2 * SIDE**3 / min(seconds_of(lambda: a @ b) for _ in range(5))


def main() -> None:
    given = arguments(__doc__, backbones="resnet8,resnet20", mixer="cutmix", batch=100, steps=5).parse_args()
    torch.set_num_threads(1)
    best = peak()
    print(f"A step of batch {given.batch} at 32x32 with {given.mixer}, one thread; ", end="")
    print(f"a product of {SIDE} x {SIDE}: {best / 1e9:.0f} GFLOP/s\n")
    for backbone in given.backbones.split(","):
        run = run_on_noise({"backbone": backbone, "mixer": given.mixer}, given.batch)
        spent = min(seconds_of(partial(run.train_epoch, 1)) for _ in range(1 + given.steps))  # the first warms up
        flops = 3 * forward_flops(run.method.network, torch.rand(given.batch, 3, 32, 32))
        share = record(f"a step of {backbone} / the processor's peak", [flops / spent / best])
        with profile() as seen:
            for _ in range(given.steps):
                run.train_epoch(1)
        times: Counter[str] = Counter()
        for of in seen.key_averages():
            times[kind_of(of.key)] += of.self_cpu_time_total
        print(f"{backbone}: {1000 * spent:.0f} ms, {share:.0%} of the peak\n")
        print("| kind | share of the time |\n| --- | ---: |")
        for kind, of_kind in times.most_common():
            print(f"| {kind} | {of_kind / times.total():.0%} |")
        print()


if __name__ == "__main__":
    main()
