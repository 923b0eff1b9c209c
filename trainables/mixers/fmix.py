"""FMix: a mask of random shape, the high ground of smooth noise, chooses between two images.

E. Harris, A. Marcu, M. Painter, M. Niranjan, A. Prügel-Bennett and J. Hare, "FMix: Enhancing Mixed Sample
Data Augmentation", arXiv:2002.12047.
"""

import torch
from torch import Generator, Tensor

from trainables.mixers.boxes import Label
from trainables.mixers.mixed import Mixed, beta, blend, pair, partners, require_one_of
from trainables.ranges import NotNegative

BISECTIONS = 26  # 2^-25, the distance of the float32 numbers in [1/4, 1/2], where the threshold mostly lies


def draw(
    shape: tuple[int, int, int], rng: Generator, *, alpha: float, decay: float, per_batch: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return smooth noise (B or 1, H, W), how many of its pixels stay and lambda, (B or 1,), and partners (B,) int64.

    Args:
        shape: B, H and W.
        rng: as in ``fmix``, and so ``alpha``, ``decay`` and ``per_batch``.
    """
    size, height, width = shape
    count = 1 if per_batch else size
    lam = beta(alpha, count, rng)
    noise = low_frequency_noise(count, height, width, decay, rng)
    up = torch.rand(count, generator=rng, device=rng.device) < 0.5  # ceil or floor, so neither is favoured
    pixels = lam * (height * width)
    return noise, torch.where(up, pixels.ceil(), pixels.floor()), lam, partners(size, rng)


def low_frequency_noise(count: int, height: int, width: int, decay: float, rng: Generator) -> Tensor:
    """Return noise (count, H, W) whose amplitude falls as (1 / frequency) ** ``decay``.

    The inverse Fourier transform of complex Gaussian noise, so scaled; the frequency, in cycles per pixel,
    counts as at least that of one cycle over the longer side.
    """
    vertical = torch.fft.fftfreq(height, device=rng.device)[:, None]
    horizontal = torch.fft.rfftfreq(width, device=rng.device)
    frequency = torch.hypot(vertical, horizontal).clamp_(min=1 / max(height, width))  # (H, W // 2 + 1)
    parts = torch.randn((count, *frequency.shape, 2), generator=rng, device=rng.device)
    spectrum = torch.view_as_complex(parts) * frequency.pow_(-decay)
    return torch.fft.irfft2(spectrum, s=(height, width))


def highest(field: Tensor, count: Tensor) -> Tensor:
    """Return a mask (B, H, W) float32: 1 at the ``count[b]`` highest pixels of each field, 0 elsewhere.

    Args:
        field: (B, H, W).
        count: (B,) whole numbers in 0..HW.

    The threshold is found by bisection, all rows at once: several times as fast as sorting. Two equal
    pixels at the threshold stay on the same side of it.
    """
    flat = field.flatten(1)
    least, most = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    flat = (flat - least).div_(most - least)  # in [0, 1]
    count = count[:, None]
    low, high = torch.full_like(least, -1.0), torch.ones_like(least)
    above = torch.empty_like(flat)
    for _ in range(BISECTIONS):
        threshold = (low + high) / 2
        too_many = torch.gt(flat, threshold, out=above).sum(1, keepdim=True) > count
        low, high = torch.where(too_many, threshold, low), torch.where(too_many, high, threshold)
    return torch.gt(flat, high, out=above).view_as(field)


def fmix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 1.0,
    decay: NotNegative = 3.0,
    per_batch: bool = False,
    label: Label = "area",
) -> Mixed:
    """Keep the high ground of smooth noise, a share lambda of the pixels, and take the rest from a partner.

    Args:
        images: (B, C, H, W), left unchanged.
        rng: source of every random draw, on the device of ``images``.
        alpha: draws lambda ~ Beta(alpha, alpha).
        decay: the power by which the noise loses its high frequencies; the higher, the smoother the mask.
        per_batch: one mask for the whole batch, as the official code has it.
        label: weights are the mean of the mask or, as in the official code, the drawn lambda.

    Returns:
        A ``Mixed`` with K = 2. The drawn lambda is off the mean of the mask by less than one pixel.

    The official code draws the mask with numpy, once per batch; here one per row, on the device.
    """
    size, _, height, width = images.shape
    require_one_of("label", label, ("area", "drawn"))
    noise, kept, lam, partner = draw((size, height, width), rng, alpha=alpha, decay=decay, per_batch=per_batch)
    mask = highest(noise, kept)
    lam = mask.mean(dim=(1, 2)) if label == "area" else lam
    return pair(blend(images, partner, mask[:, None]), partner, lam)
