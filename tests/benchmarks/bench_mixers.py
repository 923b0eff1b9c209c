"""Images a second of every mixer of pixels, beside whoever else offers it.

    python tests/benchmarks/bench_mixers.py [--threads 1] [--rounds 7] [--device cpu] [--mixers cutmix,fmix]

Prints a Markdown table for batches of 100 images of 32x32 and of 64 of 224x224. In each round all candidates take
their turn, so that whatever else the machine does hits them alike; the fastest round counts. The last column is how
many times as fast as the fastest peer the column is that does the same as the peer. Soft labels are part of the work,
here as in the peers. A mixer that needs more than 50 ms at 32x32 is not timed at 224x224. About a minute.

Peers: torchvision and the package ``mixup``, which draw one lambda, box or mask for the whole batch, like
``per_batch=True`` here, and kornia; for FMix and SaliencyMix also a loop over the images in NumPy and OpenCV, the usual
way to give each image its own mask.
Expected: no peer is faster than the column that does the same as it. With CutMix at 32x32, where a batch takes a
quarter of a millisecond, torchvision's and that of ``mixup`` are as fast: all three copy one box.
"""

import inspect
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial

import cv2
import mixup
import numpy as np
import torch
from kornia.augmentation import RandomCutMixV2, RandomMixUpV2
from recording import arguments, in_turn, ratios, record, show
from torch import Generator, Tensor
from torch.nn.functional import one_hot
from torchvision.transforms import v2

from trainables.device.memory import keep_freed
from trainables.mixers import MIXERS
from trainables.mixers.mixed import mixed_targets

CLASSES = 100
SHAPES = ((100, 3, 32, 32), (64, 3, 224, 224))
PER_ROW = ("loop", "mixup", "kornia")  # peers that draw a lambda, box or mask for each image, as ours do by default
Step = Callable[[], object]


def main() -> None:
    parser = arguments(__doc__, threads=1, rounds=7, device="cpu")
    parser.add_argument("--channels-last", action="store_true", help="the order of memory that training uses")
    parser.add_argument("--mixers", help="comma-separated (default: all)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    keep_freed()  # as in a trial; the peers gain by it as well
    names = options.mixers.split(",") if options.mixers else [name for name in MIXERS if mixes_pixels(name)]
    rows: list[tuple[str, ...]] = []
    slow: set[str] = set()
    for shape in SHAPES:
        images = torch.rand(shape, generator=Generator().manual_seed(0)).to(options.device)
        if options.channels_last:
            images = images.to(memory_format=torch.channels_last)
        labels = torch.randint(CLASSES, shape[:1], generator=Generator().manual_seed(1)).to(options.device)
        size = f"{shape[0]} x {shape[2]}x{shape[3]}"
        for name in [name for name in names if name not in slow]:
            sys.stderr.write(f"\r{size} {name:20}")
            seconds = alternate(candidates(name, images, labels), options.rounds)
            slow |= {name} if min(seconds["mixlab"]) > 0.05 else set()
            rate = {who: f"{shape[0] / min(spent) / 1000:.3g}" for who, spent in seconds.items()}
            others = [who for who in seconds if not who.startswith("mixlab")]
            times = []
            for who in others:
                same = "mixlab" if who in PER_ROW or "mixlab per batch" not in seconds else "mixlab per batch"
                of = f"{name} of {shape[2]} pixels, {who.strip('[]')} / ours"
                times.append(record(of, ratios(seconds, who, same)))
            peers = ", ".join(f"{who} {rate[who]}" for who in others)
            least = f"{min(times):.2f}" if times else ""
            rows.append((size, name, rate["mixlab"], rate.get("mixlab per batch", ""), peers, least))
    sys.stderr.write("\r" + " " * 50 + "\r")
    title = f"Images a second, in thousands; {options.threads} threads, {options.device}, torch {torch.__version__}"
    show(title, ("batch", "mixer", "one per row", "one per batch", "peers", "times the peer"), rows)
    print("One per row is the default: each image has its own lambda, box or mask. A peer in brackets draws one")
    print("for the whole batch, and is compared with the column before it; a loop, one per row, with the first.")


def mixes_pixels(name: str) -> bool:
    """Return whether the mixer needs nothing but images."""
    parameters = inspect.signature(MIXERS[name]).parameters.values()
    return all(p.default is not p.empty for p in parameters if p.kind is p.KEYWORD_ONLY)


def candidates(name: str, images: Tensor, labels: Tensor) -> dict[str, Step]:
    """Return the steps to time, by their authors: each mixes ``images`` (B, C, H, W) and ``labels`` (B,)."""
    rng = Generator(images.device).manual_seed(0)

    def mixlab(**options: bool) -> Step:
        def step() -> object:
            mixed = MIXERS[name](images, rng, **options)
            return mixed.images, mixed_targets(mixed, labels, CLASSES)

        return step

    steps = {"mixlab": mixlab()}
    if "per_batch" in inspect.signature(MIXERS[name]).parameters:
        steps["mixlab per batch"] = mixlab(per_batch=True)
    return steps | dict(peers(name, images, labels))


def peers(name: str, images: Tensor, labels: Tensor) -> Iterator[tuple[str, Step]]:
    """Yield the step of everyone else who has the mixer."""
    transforms = {"mixup": v2.MixUp, "cutmix": v2.CutMix}
    if name in transforms:
        transform = transforms[name](num_classes=CLASSES)
        yield "[torchvision]", lambda: transform(images, labels)
    kinds = {"mixup": RandomMixUpV2, "cutmix": partial(RandomCutMixV2, use_correct_lambda=True)}
    if name in kinds:
        augmentation = kinds[name](p=1.0, data_keys=["input", "class"])
        yield "kornia", lambda: augmentation(images, labels)
    classes = {"mixup": mixup.VanillaMixUp, "cutmix": mixup.CutMix, "resizemix": mixup.ResizeMix, "fmix": mixup.FMix}
    if name in classes:
        mixer = classes[name]()
        yield "[mixup]", lambda: mixer(images, one_hot(labels, CLASSES).float())
    if name == "saliencymix":
        own_boxes = mixup.SaliencyMix()
        yield "mixup", lambda: own_boxes(images, one_hot(labels, CLASSES).float())
    loops = {"fmix": fmix_loop, "saliencymix": saliencymix_loop}
    if name in loops and images.device.type == "cpu":
        targets = np.eye(CLASSES, dtype=np.float32)[labels]
        arrays, rng = images.numpy(), np.random.default_rng(0)
        yield "loop", lambda: loops[name](arrays, targets, rng)


def fmix_loop(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Apply FMix image by image, and return (B, C, H, W) and (B, L)."""
    size, _, height, width = images.shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    scale = 1 / np.maximum(frequency, 1 / max(height, width)) ** 3
    mixed, targets, partner = np.empty_like(images), np.empty_like(labels), rng.permutation(size)
    for b in range(size):
        lam = rng.beta(1, 1)
        spectrum = scale * (rng.standard_normal(scale.shape) + 1j * rng.standard_normal(scale.shape))
        noise = np.fft.irfft2(spectrum, (height, width)).ravel()
        kept = (math.ceil if rng.random() < 0.5 else math.floor)(lam * noise.size)
        mask = np.zeros(noise.size, bool)
        mask[noise.argsort()[noise.size - kept :]] = True
        mixed[b] = np.where(mask.reshape(height, width), images[b], images[partner[b]])
        targets[b] = lam * labels[b] + (1 - lam) * labels[partner[b]]
    return mixed, targets


def saliencymix_loop(images: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Apply SaliencyMix image by image, with OpenCV's saliency, and return (B, C, H, W) and (B, L)."""
    size, _, height, width = images.shape
    detector = cv2.saliency.StaticSaliencyFineGrained_create()
    mixed, targets, partner = images.copy(), np.empty_like(labels), rng.permutation(size)
    for b in range(size):
        other = images[partner[b]]
        saliency = detector.computeSaliency(
            np.ascontiguousarray((other[::-1] * 255).round().astype(np.uint8).transpose(1, 2, 0))
        )[1]
        row, column = divmod(int(saliency.argmax()), width)
        side = math.sqrt(1 - rng.beta(1, 1))
        half_height, half_width = int(height * side) // 2, int(width * side) // 2
        rows = slice(max(row - half_height, 0), min(row + half_height, height))
        columns = slice(max(column - half_width, 0), min(column + half_width, width))
        mixed[b, :, rows, columns] = other[:, rows, columns]
        lam = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        targets[b] = lam * labels[b] + (1 - lam) * labels[partner[b]]
    return mixed, targets


def alternate(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of a call of each in every round, of at least 20 ms a candidate and about 2 s in all."""
    once = {who: seconds[0] for who, seconds in in_turn(steps, 1).items()}  # the first call, which also warms up
    if max(once.values()) > 1:
        return {who: [seconds] for who, seconds in once.items()}
    once = {who: min(seconds) for who, seconds in in_turn(steps, 2).items()}
    calls = {who: max(1, round(0.02 / seconds)) for who, seconds in once.items()}
    many = {who: partial(repeat, step, calls[who]) for who, step in steps.items()}
    spent = in_turn(many, max(3, min(rounds, round(2 / max(once.values())))))
    return {who: [seconds / calls[who] for seconds in times] for who, times in spent.items()}


def repeat(step: Step, calls: int) -> None:
    for _ in range(calls):
        step()


if __name__ == "__main__":
    main()
