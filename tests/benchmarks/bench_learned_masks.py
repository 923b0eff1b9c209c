"""Times a training step of each mixer that learns or optimises its masks against plain mixup's, in turn.

    python tests/benchmarks/bench_learned_masks.py [--backbones resnet8,vit_tiny_32] [--batch 100] [--rounds 9]

Prints a Markdown table for each backbone: the median of the ratios to mixup's step of the same round, the ratio of the
tensors that a step makes and that exist at once, in bytes, and the ratios that are reported. Those of OpenMixup are of
DeiT-S on CIFAR-100 (docs/en/mixup_benchmarks/Mixup_cifar.md: hours and GB of a training); AutoMix's Table 9 has 1.7
times the hours of mixup for ResNet-18 on Tiny-ImageNet. On a GPU it measures the GPU. A backbone without a class token
is measured without MergeMix.
"""

import sys
import weakref
from typing import Any

import torch
from recording import arguments, in_turn, ratios, record, run_on_noise, where
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainables.training import Run

# mixer: the reported ratios of time and of memory to mixup's
REPORTED: dict[str, tuple[float | None, float | None]] = {
    "mixup": (1.0, 1.0),
    "puzzlemix": (35 / 27, 8.3 / 8.2),
    "comixup": (None, None),
    "automix": (59 / 27, 18.2 / 8.2),
    "samix": (58 / 27, 21.3 / 8.2),
    "adautomix": (None, None),
    "mergemix": (None, None),
}


class Held(TorchDispatchMode):
    """Counts the bytes of the tensors that exist at once, of those that are made inside the block."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage.data_ptr() not in self.live:
                    self.live[storage.data_ptr()] = storage.nbytes()
                    self.now += storage.nbytes()
                    weakref.finalize(storage, self._freed, storage.data_ptr())
        self.peak = max(self.peak, self.now)
        return found

    def _freed(self, address: int) -> None:
        self.now -= self.live.pop(address, 0)


def peak_of(run: Run) -> int:
    """Return the bytes of the tensors that a step makes, at most at once."""
    with Held() as held:
        run.train_epoch(1)
    return held.peak


def shown(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def measure(backbone: str, batch: int, rounds: int) -> None:
    runs: dict[str, Run] = {}
    for mixer in REPORTED:
        try:
            runs[mixer] = run_on_noise({"backbone": backbone, "mixer": mixer}, batch)
        except ValueError as error:
            print(f"without {mixer}: {error}", file=sys.stderr)
    peaks = {mixer: peak_of(run) for mixer, run in runs.items()}
    seconds = in_turn({mixer: lambda run=run: run.train_epoch(1) for mixer, run in runs.items()}, rounds)

    print(f"\nTraining step, {backbone}, batch {batch} at 32x32, {where()}, {rounds} rounds in turn\n")
    print("| mixer | times mixup's step | times its memory | reported, time | reported, memory |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for mixer in runs:
        time = record(f"{mixer}: a step of {backbone} / mixup", ratios(seconds, mixer, "mixup"))
        memory = record(f"{mixer}: tensors of a step of {backbone} / mixup", [peaks[mixer] / peaks["mixup"]])
        print(f"| {mixer} | {time:.2f} | {memory:.2f} | {' | '.join(map(shown, REPORTED[mixer]))} |")


def main() -> None:
    given = arguments(__doc__, backbones="resnet8,vit_tiny_32", batch=100, rounds=9).parse_args()
    for backbone in given.backbones.split(","):
        measure(backbone, given.batch, given.rounds)


if __name__ == "__main__":
    main()
