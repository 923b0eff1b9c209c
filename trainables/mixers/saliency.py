"""Fine-grained saliency: how much each pixel stands out from its surroundings, at six scales.

S. Montabone and A. Soto, "Human detection using a mobile platform and novel features derived from a
visual saliency mechanism", Image and Vision Computing 28(3), 2010: the detector that SaliencyMix takes
from OpenCV (``StaticSaliencyFineGrained``). Here for a whole batch, on its device, by integral images.

The integers are those of OpenCV: a brightness of 8 bits, every step rounded or truncated where it does,
so that even the most salient pixel, decided by ties of whole numbers, is the same.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

# Half the side of the window that a pixel is compared with, in pixels.
NEIGHBOURHOODS = (12, 24, 48, 28, 56, 112)


def to_bytes(images: Tensor) -> Tensor:
    """Return pixels in 0..255 as whole float32 numbers.

    Args:
        images: (B, C, H, W) uint8, or floating point in [0, 1].
    """
    return images.float() if images.dtype == torch.uint8 else images.float().mul(255).round_().clamp_(0, 255)


def grey(pixels: Tensor) -> Tensor:
    """Return the brightness (B, H, W) in 0..255, in the fixed-point arithmetic (15 bits) of OpenCV.

    Args:
        pixels: (B, 1 or 3, H, W) RGB in 0..255.
    """
    if pixels.shape[1] == 1:
        return pixels[:, 0]
    if pixels.shape[1] != 3:
        raise ValueError(f"saliency needs images of 1 or 3 channels, got {pixels.shape[1]}")
    red, green, blue = pixels.unbind(1)
    return (red * 9798).add_(green, alpha=19235).add_(blue, alpha=3735).add_(16384).div_(32768).floor_()


def blur(brightness: Tensor) -> Tensor:
    """Return sums (B, H, W) under the 3x3 binomial kernel, 16 times the Gaussian blur; the border is reflected.

    Args:
        brightness: (B, H, W).
    """
    mode = "reflect" if min(brightness.shape[1:]) > 1 else "replicate"
    padded = F.pad(brightness, (1, 1, 1, 1), mode=mode)
    rows = (padded[:, :-2] + padded[:, 2:]).add_(padded[:, 1:-1], alpha=2)
    return (rows[..., :-2] + rows[..., 2:]).add_(rows[..., 1:-1], alpha=2)


def window_sums(values: Tensor, half: int, dim: int) -> Tensor:
    """Sums along ``dim`` of the 2 ``half`` values around each one, from ``half - 1`` before to ``half`` after.

    Args:
        values: (B, H, W) running sums along ``dim``; a window is clipped at the border.
        half: half the length of the window.
        dim: 1 or 2.
    """
    size = values.shape[dim]
    half = min(half, size)
    beyond = values.narrow(dim, size - 1, 1).expand([half if at == dim else -1 for at in range(3)])
    sums = torch.cat((values.narrow(dim, half, size - half), beyond), dim)
    sums.narrow(dim, half, size - half).sub_(values.narrow(dim, 0, size - half))
    return sums


def window_lengths(size: int, half: int, device: torch.device) -> Tensor:
    """(size,) int64 number of values in each clipped window of ``window_sums``."""
    at = torch.arange(size, device=device)
    return (at + half).clamp_(max=size - 1) - (at - half).clamp_(min=-1)


def stand_out(centre: Tensor, surround: Tensor) -> Tensor:
    """Return the saliency (B, H, W) in [0, 1], in steps of 1/255.

    Args:
        centre: (B, H, W) brightness of the pixels, whole numbers in 0..255.
        surround: (B, H, W) brightness that the surroundings are averaged over.
    """
    height, width = centre.shape[1:]
    integral = surround.cumsum(1).cumsum_(2)
    on, off = (torch.zeros_like(centre, dtype=torch.int32) for _ in range(2))
    for half, times in scales(max(height, width)):
        contrast = window_sums(window_sums(integral, half, 1), half, 2)
        rows, columns = (window_lengths(size, half, centre.device) for size in (height, width))
        others = (rows[:, None] * columns - 1).clamp_(min=1).float()
        contrast.sub_(centre).div_(others)  # the mean of the surroundings, without the pixel itself
        whole = torch.sub(centre, contrast, out=contrast).to(torch.int32)  # truncated, as OpenCV's bytes are
        on.add_(whole.clamp(min=0).bitwise_and_(255), alpha=times)
        off.add_(whole.neg_().clamp_(min=0).bitwise_and_(255), alpha=times)
    both = full_range(on).add_(full_range(off))
    return both.sub_((both >= 256).float(), alpha=256).div_(255)  # a byte that overflows starts again at 0


def scales(size: int) -> list[tuple[int, int]]:
    """Return half the side of each window and how often it counts; windows that hold the whole image are one."""
    local = [(half, 1) for half in NEIGHBOURHOODS if half < size]
    return [*local, (size, len(NEIGHBOURHOODS) - len(local))] if len(local) < len(NEIGHBOURHOODS) else local


def full_range(contrast: Tensor) -> Tensor:
    """Return (B, H, W) scaled to a maximum of 255 in each image and cut to whole numbers; zeros stay zeros.

    Args:
        contrast: (B, H, W) int32, at least 0.
    """
    share = contrast / contrast.amax(dim=(1, 2), keepdim=True).clamp_(min=1)
    scaled = (share * 255).floor_()
    # OpenCV multiplies in float64. In float32 a product may round up to the next integer: take that back.
    rounded_up = (share * 256).sub_(scaled).lt_(share)
    return scaled.sub_(rounded_up)


@torch.no_grad()
def misread_saliency(normalised: Tensor) -> Tensor:
    """Return what OpenCV makes of floats, (B, H, W): SaliencyMix's release, whose centre is almost random by this.

    Args:
        normalised: (B, 3, H, W) images from which the mean is taken and which are divided by the std.

    OpenCV's detector reads the centre pixel at column x as byte x of the row's float32 numbers, which are
    mostly digits of a mantissa, and compares it with the true mean of the surroundings. The release also
    hands over RGB as BGR. Equal to OpenCV's up to float32 rounding, which alone moves the lowest bytes.
    """
    if normalised.shape[1] != 3:
        raise ValueError(f"the saliency of floats needs images of 3 channels, got {normalised.shape[1]}")
    first, second, third = normalised.float().unbind(1)
    brightness = first * 0.114 + second * 0.587 + third * 0.299
    for _ in range(2):
        brightness = blur(brightness).div_(16)
    read = brightness.contiguous().view(torch.uint8)[..., : brightness.shape[2]].float()
    return stand_out(read, brightness)


@torch.no_grad()
def fine_grained_saliency(images: Tensor) -> Tensor:
    """Return the saliency (B, H, W) float32 in [0, 1]; no gradient flows through it.

    Args:
        images: (B, C, H, W) RGB or grey; uint8, or floating point in [0, 1].

    Equal to OpenCV's on the same bytes (which it takes as BGR) up to about 256x256 pixels, above which
    its integral image in float32 is no longer exact.
    """
    brightness = grey(to_bytes(images))
    for _ in range(2):
        brightness = blur(brightness).add_(8).div_(16).floor_()
    return stand_out(brightness, brightness)


def salient_pixel(saliency: Tensor) -> tuple[Tensor, Tensor]:
    """Return the row and column, two (B,) int64, of the most salient pixel of each image; the first of equals.

    Args:
        saliency: (B, H, W).
    """
    at = saliency.flatten(1).argmax(1)
    return at // saliency.shape[2], at % saliency.shape[2]
