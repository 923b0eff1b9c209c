"""FMix: a mask of random shape, the high ground of smooth noise, chooses between two images.

E. Harris, A. Marcu, M. Painter, M. Niranjan, A. Prügel-Bennett and J. Hare, "FMix: Enhancing Mixed Sample
Data Augmentation", arXiv:2002.12047.
"""

from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Generator, Tensor

from trainables.mixers.boxes import Label
from trainables.mixers.mixed import Mixed, beta, blend, on_host, pair, partners, portions

FEW = 8  # the most rows of a portion whose rows have too many pixels to be worth sorting
FINEST = 2.0**-25  # the spacing of float32 numbers in [1/4, 1/2], where the threshold mostly lies
BISECTIONS = 26  # from [-1, 1] to that spacing


def draw(
    images: Tensor, rng: Generator, *, alpha: float, decay: float, per_batch: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return smooth noise (B or 1, H, W), how many pixels stay and lambda, (B or 1,), and partners (B,) int64."""
    size, _, height, width = images.shape
    count = 1 if per_batch else size
    lam = beta(alpha, count, rng)
    noise = low_frequency_noise(count, height, width, decay, rng)
    up = torch.rand(count, generator=rng, device=rng.device) < 0.5  # ceil or floor, so neither is favoured
    pixels = lam * (height * width)
    return noise, torch.where(up, pixels.ceil(), pixels.floor()), lam, partners(size, rng)


def low_frequency_noise(count: int, height: int, width: int, decay: float, rng: Generator) -> Tensor:
    """Return noise (count, H, W) whose amplitude falls as (1 / frequency) ** ``decay``.

    It is the inverse Fourier transform of scaled complex Gaussian noise. The frequency, in cycles per pixel, counts as
    at least one cycle over the longer side.
    """
    vertical = torch.fft.fftfreq(height, device=rng.device)[:, None]
    horizontal = torch.fft.rfftfreq(width, device=rng.device)
    frequency = torch.hypot(vertical, horizontal).clamp_(min=1 / max(height, width))  # (H, W // 2 + 1)
    scale = frequency.pow_(-decay)
    noise = torch.empty(count, height, width, device=rng.device)
    # A generator of the processor draws normal numbers in blocks of 16: only whole blocks can be drawn bit by bit.
    in_blocks = scale.numel() * 2 % 16 == 0
    for rows in portions(noise) if in_blocks else [slice(0, count)]:
        parts = torch.randn((len(noise[rows]), *scale.shape, 2), generator=rng, device=rng.device)
        torch.fft.irfft2(torch.view_as_complex(parts).mul_(scale), s=(height, width), out=noise[rows])
    return noise


def highest(field: Tensor, count: Tensor) -> Tensor:
    """Turn a field (B, H, W) float32 into a mask in place, and return it: 1 at its ``count[b]`` highest pixels, else 0.

    ``count`` (B,) holds whole numbers in 0..HW. The threshold is a multiple of 2^-25 once a field is scaled to [0, 1].
    Equal pixels stay on the same side of it.
    """
    for rows in portions(field):
        flat = field[rows].flatten(1)
        least, most = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
        flat = (flat - least).div_(most - least)  # in [0, 1]
        find = _threshold_by_counting
        if on_host(field):
            find = _threshold_by_sorting if len(flat) > FEW else _threshold_by_searching
        torch.gt(flat, find(flat, count[rows][:, None]), out=field[rows].flatten(1))
    return field


def _threshold_by_counting(flat: Tensor, count: Tensor) -> Tensor:
    """Return the least threshold (B, 1) above which at most ``count`` (B, 1) pixels of ``flat`` (B, HW) lie."""
    low, high = torch.full_like(count, -1.0), torch.ones_like(count)
    above = torch.empty_like(flat)
    for _ in range(BISECTIONS):
        threshold = (low + high) / 2
        too_many = torch.gt(flat, threshold, out=above).sum(1, keepdim=True) > count
        low, high = torch.where(too_many, threshold, low), torch.where(too_many, high, threshold)
    return high


def _threshold_by_sorting(flat: Tensor, count: Tensor) -> Tensor:
    """Return what ``_threshold_by_counting`` returns, by NumPy, which sorts fastest on a processor.

    A threshold is too low if the highest of the pixels that may not stay lies above it.
    """
    place = flat.shape[1] - 1 - count.long().numpy()  # (B, 1) its rank, from the lowest; -1 where all stay
    first_out = np.take_along_axis(np.sort(flat.numpy(), axis=1), place, axis=1)
    steps = np.ldexp(np.where(place < 0, np.float32(-1), first_out), BISECTIONS - 1)
    return torch.from_numpy(np.ldexp(np.ceil(steps), 1 - BISECTIONS))


def _threshold_by_searching(flat: Tensor, count: Tensor) -> Tensor:
    """Return thresholds (B, 1) that part the pixels as those of ``_threshold_by_counting`` do, by NumPy.

    Each row takes about a third of the steps, because two of three guesses assume that pixels are spread evenly between
    two thresholds, and because the search ends once exactly as many lie above as may stay. The third guess is halfway.
    """
    return torch.tensor([[_search(*row)] for row in zip(flat.numpy(), count[:, 0].tolist(), strict=True)])


def _search(row: NDArray[np.float32], count: float) -> float:
    """Return the threshold of one row (HW,), above which at most ``count`` of its pixels lie."""
    low, high, step = -FINEST, 1.0, 0
    above_low, above_high = len(row), 0
    if count == above_low:
        return low
    while above_high < count and high - low > FINEST:
        step += 1
        share = 0.5 if step % 3 == 0 else (above_low - count) / (above_low - above_high)
        guess = low + FINEST * max(1, int(share * (high - low) / FINEST))
        above = int(np.count_nonzero(row > guess))
        if above > count:
            low, above_low = guess, above
        else:
            high, above_high = guess, above
    return high


def fmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    decay: Annotated[float, Field(ge=0, le=10)] = 3.0,
    per_batch: bool = False,
    label: Label = "area",
) -> Mixed:
    """Keep the high ground of smooth noise, a share lambda of the pixels, and take the rest from a partner.

    Args:
        decay: the power by which the noise loses its high frequencies, at most 10; the higher, the smoother the mask.
            At 20 the amplitudes for an image of 224 pixels would exceed float32.
        per_batch: one mask for the whole batch, as the official code has it.
        label: weights are the mean of the mask or, as in the official code, the drawn lambda.

    The drawn lambda is off the mean of the mask by less than one pixel. The official code draws the mask with numpy,
    once per batch; here one per row, on the device. It takes the first two rows of the spectrum for its real and its
    imaginary part, so that its noise has no more than one cycle over the width; here, as in the paper, all frequencies.
    """
    noise, kept, lam, partner = draw(images, rng, alpha=alpha, decay=decay, per_batch=per_batch)
    mask = highest(noise, kept)
    lam = mask.mean(dim=(1, 2)) if label == "area" else lam
    return pair(blend(images, partner, mask[:, None]), partner, lam)
