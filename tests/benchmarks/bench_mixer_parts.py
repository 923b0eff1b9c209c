"""Where the time of FMix and SaliencyMix goes, beside a tenth of the plain loop's time.

    python tests/benchmarks/bench_mixer_parts.py [--rounds 9]

Prints a Markdown table of processor time, on one thread, for the batches of ``bench_mixers.py``. Each part is what the
mixer calls, on the data and in the portions that it has there; all take their turn in each round. What the parts leave
are the other draws, the labels' weights and the start of some fifty operations. About half a minute.

Expected: the parts of FMix that its definition and its draws fix, the normal numbers, their inverse transforms and the
mixing, take about a tenth of the loop's time at 32 pixels and more at 224, so that no other threshold could make it ten
times as fast.
"""

import statistics
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from bench_mixers import SHAPES, fmix_loop, repeat, saliencymix_loop
from recording import arguments, in_turn, ratios
from torch import Generator, Tensor

from trainables.device.memory import keep_freed
from trainables.mixers.boxes import Boxes, paste
from trainables.mixers.fmix import draw, fmix, highest
from trainables.mixers.mixed import blend, partners, portions
from trainables.mixers.saliency import Windows, blur, full_range, grey, scales_of, stand_out, to_bytes
from trainables.mixers.saliencymix import saliencymix

Step = Callable[[], object]


def main() -> None:
    rounds = arguments(__doc__, rounds=9).parse_args().rounds
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    keep_freed()  # as in a trial; the loop gains by it as well
    print("| batch | part | ms | of the mixer | of a tenth of the loop |\n| --- | --- | ---: | ---: | ---: |")
    for shape in SHAPES:
        images = torch.rand(shape, generator=Generator().manual_seed(0))
        for name, steps in (("FMix", parts_of_fmix(images)), ("SaliencyMix", parts_of_saliencymix(images))):
            calls = 20 if shape[2] < 100 else 1
            many = {part: partial(repeat, step, calls) for part, step in steps.items()}
            seconds = in_turn(many, rounds, time.process_time, warm_up=True)
            for part in steps:
                shares = ratios(seconds, part, name)
                milliseconds = 1000 * statistics.median(seconds[part]) / calls
                of_loop = 10 * statistics.median(ratios(seconds, part, "the loop"))
                cells = f"{part} | {milliseconds:.3g} | {statistics.median(shares):.0%} | {of_loop:.0%}"
                print(f"| {shape[0]} x {shape[2]}x{shape[3]} | {cells} |")


def parts_of_fmix(images: Tensor) -> dict[str, Step]:
    """Return FMix, its loop, and its parts, as steps to time."""
    size, _, height, width = images.shape
    rng, labels = Generator().manual_seed(0), np.eye(size, dtype=np.float32)
    arrays, numbers = images.numpy(), np.random.default_rng(0)
    noise, kept, _, partner = draw(images, rng, alpha=1.0, decay=3.0, per_batch=False)
    mask = highest(noise.clone(), kept)
    rows = portions(noise)
    spectra = [torch.randn(len(noise[of]), height, width // 2 + 1, 2) for of in rows]
    room = torch.empty_like(noise)

    def transform() -> None:
        for of, spectrum in zip(rows, spectra, strict=True):
            torch.fft.irfft2(torch.view_as_complex(spectrum), s=(height, width), out=room[of])

    return {
        "FMix": lambda: fmix(images, rng),
        "the loop": lambda: fmix_loop(arrays, labels, numbers),
        "normal numbers": lambda: [torch.randn(spectrum.shape, generator=rng) for spectrum in spectra],
        "inverse transforms": transform,
        "threshold and mask": lambda: highest(room.copy_(noise), kept),
        "mixing": lambda: blend(images, partner, mask[:, None]),
    }


def parts_of_saliencymix(images: Tensor) -> dict[str, Step]:
    """Return SaliencyMix, its loop, and its parts, as steps to time."""
    size, _, height, width = images.shape
    rng, labels = Generator().manual_seed(0), np.eye(size, dtype=np.float32)
    arrays, numbers = images.numpy(), np.random.default_rng(0)
    rows, scales = portions(images), scales_of(height, width, images.device)
    bright = [grey(to_bytes(images[of])) for of in rows]
    boxes = Boxes(*(torch.full((size,), at) for at in (height // 4, 3 * height // 4, width // 4, 3 * width // 4)))
    partner, lam = partners(size, rng), torch.ones(size)

    def brightness() -> None:
        for of in rows:
            values = grey(to_bytes(images[of])).to(torch.int16)
            for _ in range(2):
                values = blur(values).add_(8).bitwise_right_shift_(4)

    def sums() -> None:
        for values in bright:
            windows = Windows(values)
            for half, _, _ in scales:
                windows.sums(half)

    def ranges() -> None:
        for values in bright:
            whole = values.to(torch.int16)
            full_range(whole).add_(full_range(whole)).bitwise_and_(255).float().div_(255)

    return {
        "SaliencyMix": lambda: saliencymix(images, rng),
        "the loop": lambda: saliencymix_loop(arrays, labels, numbers),
        "brightness, and its two blurs": brightness,
        "sums over the windows": sums,
        "sums, contrasts and their ranges": lambda: [stand_out(values, values, scales) for values in bright],
        "ranges": ranges,
        "box and mixing": lambda: paste(images, partner, boxes, lam),
    }


if __name__ == "__main__":
    main()
