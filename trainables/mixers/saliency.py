"""Fine-grained saliency: how much each pixel stands out from its surroundings, at six scales.

S. Montabone and A. Soto, "Human detection using a mobile platform and novel features derived from a
visual saliency mechanism", Image and Vision Computing 28(3), 2010: the detector that SaliencyMix takes
from OpenCV (``StaticSaliencyFineGrained``). Here it works on a whole batch, on its device, by integral images.

The integers are those of OpenCV: a brightness of 8 bits, every step rounded or truncated where it does,
so that even the most salient pixel, decided by ties of whole numbers, is the same.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.mixers.mixed import on_host, portions

# Half the side of the window that a pixel is compared with, in pixels.
NEIGHBOURHOODS = (12, 24, 48, 28, 56, 112)


def to_bytes(images: Tensor) -> Tensor:
    """Return images (B, C, H, W), uint8 or floating point in [0, 1], as whole float32 numbers in 0..255."""
    return images.float() if images.dtype == torch.uint8 else images.float().mul(255).round_().clamp_(0, 255)


def grey(pixels: Tensor) -> Tensor:
    """Return the brightness (B, H, W) of pixels (B, 1 or 3, H, W) in 0..255, in OpenCV's fixed-point arithmetic."""
    if pixels.shape[1] == 1:
        return pixels[:, 0]
    if pixels.shape[1] != 3:
        raise ValueError(f"saliency needs images of 1 or 3 channels, got {pixels.shape[1]}")
    red, green, blue = pixels.unbind(1)
    weighted = (red * (9798 / 2**15)).add_(green, alpha=19235 / 2**15).add_(blue, alpha=3735 / 2**15)
    return weighted.add_(0.5).floor_()


def blur(brightness: Tensor) -> Tensor:
    """Return sums (B, H, W) under the 3x3 binomial kernel, 16 times the Gaussian blur; the border is reflected.

    The brightness (B, H, W) is floating point, or whole numbers of 16 bits in 0..255.
    """
    return _binomial(_binomial(brightness).transpose(1, 2)).transpose(1, 2)


def _binomial(values: Tensor) -> Tensor:
    """Return the sum along dim 1 of each value's two neighbours and of itself, twice."""
    sums = torch.empty_like(values)
    torch.add(values[:, :-2], values[:, 2:], out=sums[:, 1:-1])
    inner = min(1, values.shape[1] - 1)  # the neighbour of an end, which the border reflects
    torch.mul(values[:, inner], 2, out=sums[:, 0])
    torch.mul(values[:, -1 - inner], 2, out=sums[:, -1])
    return sums.add_(values, alpha=2)


class Windows:
    """Sums over square windows around every pixel, which are clipped at the border, by one integral image.

    A window of half a side n reaches from n - 1 pixels before its pixel to n after it.
    """

    def __init__(self, values: Tensor) -> None:
        self.integral = values.cumsum(1).cumsum_(2)  # (B, H, W)
        self.rows, self.found = torch.empty(2, *values.shape, device=values.device)

    def sums(self, half: int) -> Tensor:
        """Return the sum of each pixel's window, (B, H, W), in memory that the next call uses again."""
        _differences(self.integral, half, out=self.rows)
        _differences(self.rows.transpose(1, 2), half, out=self.found.transpose(1, 2))
        return self.found


def _differences(sums: Tensor, half: int, out: Tensor) -> None:
    """Write to ``out`` how much running sums grow along dim 1, from n before each pixel to n after it, both clipped."""
    within = max(0, sums.shape[1] - half)  # pixels that are n or more before the end
    out[:, :within] = sums[:, half:]
    out[:, within:] = sums[:, -1:]
    out[:, half:].sub_(sums[:, :within])


class Scale(NamedTuple):
    """The windows of one size."""

    half: int  # half the side of a window
    times: int  # how many times their contrast counts
    others: Tensor  # (H, W) float32, pixels in each window besides its own


def stand_out(centre: Tensor, surround: Tensor, scales: list[Scale]) -> Tensor:
    """Return the saliency (B, H, W) in [0, 1], in steps of 1/255.

    ``centre`` is the brightness of the pixels, (B, H, W) whole float32 numbers in 0..255, and ``surround`` (B, H, W)
    float32 the brightness that is averaged over the surroundings.
    """
    windows = Windows(surround)
    total, either = torch.zeros(2, *centre.shape, dtype=torch.int16, device=centre.device)
    contrast = torch.empty_like(total)
    for half, times, others in scales:
        sums = windows.sums(half).sub_(centre)  # over the surroundings, without the pixel itself
        contrast.copy_(torch.addcdiv(centre, sums, others, value=-1, out=sums))  # cut to whole numbers, as in OpenCV
        if surround is not centre:
            contrast.fmod_(256)  # a byte that overflows starts again at 0; the mean of bytes overflows none
        total.add_(contrast, alpha=times)
        either.add_(contrast.abs_(), alpha=times)
    brighter, darker = either + total, either.sub_(total)  # the contrast of either sign, doubled
    both = full_range(brighter).add_(full_range(darker)).bitwise_and_(255)  # a byte that overflows starts again at 0
    return both / 255


def scales_of(height: int, width: int, device: torch.device) -> list[Scale]:
    """Return the six scales of images of this size; all windows that hold the whole image count as one."""
    size = max(height, width)
    local = [(half, 1) for half in NEIGHBOURHOODS if half < size]
    if len(local) < len(NEIGHBOURHOODS):
        local.append((size, len(NEIGHBOURHOODS) - len(local)))
    rows, columns = (torch.arange(side, device=device, dtype=torch.float32) for side in (height, width))

    def lengths(at: Tensor, half: int) -> Tensor:
        return (at + half).clamp_(max=len(at) - 1) - (at - half).clamp_(min=-1)

    counts = [lengths(rows, half)[:, None] * lengths(columns, half) for half, _ in local]
    return [Scale(*of, count.sub_(1).clamp_(min=1)) for of, count in zip(local, counts, strict=True)]


def full_range(contrast: Tensor) -> Tensor:
    """Return contrasts (B, H, W) int16, scaled to a maximum of 255 in each image and cut to whole numbers; 0 stays 0.

    OpenCV divides in float32 and multiplies in float64, where no product is rounded up to the next whole number.
    """
    largest = contrast.flatten(1).amax(dim=1).clamp_(min=1)[:, None, None]
    return (contrast / largest).double().mul_(255).to(torch.int16)


@torch.no_grad()
def misread_saliency(normalised: Tensor) -> Tensor:
    """Return OpenCV's saliency (B, H, W) of normalised floats (B, 3, H, W), as in SaliencyMix's release.

    OpenCV's detector reads the centre pixel at column x as byte x of the row's float32 numbers, which are mostly digits
    of a mantissa, and compares it with the true mean of the surroundings: the most salient pixel is almost random. The
    release also passes RGB as BGR. Equal to OpenCV's up to float32 rounding, which alone moves the lowest bytes.
    """
    first, second, third = normalised.float().unbind(1)
    brightness = first * 0.114 + second * 0.587 + third * 0.299
    for _ in range(2):
        brightness = blur(brightness).div_(16)
    read = brightness.contiguous().view(torch.uint8)[..., : brightness.shape[2]].float()
    return stand_out(read, brightness, scales_of(brightness.shape[1], brightness.shape[2], brightness.device))


@torch.no_grad()
def fine_grained_saliency(images: Tensor) -> Tensor:
    """Return the saliency (B, H, W) float32 in [0, 1], without gradient, of RGB or grey images as ``to_bytes`` takes.

    Equal to OpenCV's on the same bytes (which it takes as BGR) up to about 256x256 pixels, above which its integral
    image in float32 is no longer exact.
    """
    count, _, height, width = images.shape
    scales = scales_of(height, width, images.device)
    found = torch.empty(count, height, width, device=images.device)
    for rows in portions(images):
        brightness = grey(to_bytes(images[rows].contiguous())).to(torch.int16)
        for _ in range(2):
            brightness = blur(brightness).add_(8).bitwise_right_shift_(4)
        centre = brightness.float()
        found[rows] = stand_out(centre, centre, scales)
    return found


def salient_pixel(saliency: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row and column, two (B,) int64, of the most salient pixel by (B, H, W); the first of equal ones."""
    flat = saliency.flatten(1)
    at = torch.from_numpy(flat.numpy().argmax(1)) if on_host(flat) else flat.argmax(1)  # NumPy's is much faster
    return at // saliency.shape[2], at % saliency.shape[2]
