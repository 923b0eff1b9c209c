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
    """Pixels in 0..255 as whole float32 numbers.

    Args:
        images: (B, C, H, W) uint8, or floating point in [0, 1].
    """
    return images.float() if images.dtype == torch.uint8 else images.float().mul(255).round_().clamp_(0, 255)


def grey(pixels: Tensor) -> Tensor:
    """(B, H, W) brightness in 0..255, in the fixed-point arithmetic (15 bits) of OpenCV.

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
    """(B, H, W) sums under the 3x3 binomial kernel, 16 times the Gaussian blur; the border is reflected.

    Args:
        brightness: (B, H, W).
    """
    padded = F.pad(brightness[:, None], (1, 1, 1, 1), mode="reflect" if min(brightness.shape[1:]) > 1 else "replicate")
    rows = padded[:, 0, :-2] + padded[:, 0, 2:] + 2 * padded[:, 0, 1:-1]
    return rows[..., :-2] + rows[..., 2:] + 2 * rows[..., 1:-1]


def window(size: int, half: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """First index and end, two (size,) int64, of the 2 ``half`` pixels around each pixel of a side."""
    at = torch.arange(size, device=device)
    return (at - half + 1).clamp_(min=0), (at + half + 1).clamp_(max=size)


def surround_sums(integral: Tensor, half: int) -> tuple[Tensor, Tensor]:
    """Sum of each pixel's window, clipped to the image, (B, H, W); and its number of pixels, (H, W).

    Args:
        integral: (B, H + 1, W + 1) integral images, with a leading row and column of zeros.
        half: half the side of the window.
    """
    top, bottom = window(integral.shape[1] - 1, half, integral.device)
    left, right = window(integral.shape[2] - 1, half, integral.device)
    bands = integral.index_select(1, bottom) - integral.index_select(1, top)
    sums = bands.index_select(2, right).sub_(bands.index_select(2, left))
    return sums, (bottom - top)[:, None] * (right - left)


def stand_out(centre: Tensor, blurred: Tensor) -> Tensor:
    """(B, H, W) saliency in [0, 1], in steps of 1/255.

    Args:
        centre: (B, H, W) brightness of the pixels, whole numbers in 0..255.
        blurred: (B, H, W) brightness that the surroundings are averaged over.
    """
    height, width = centre.shape[1:]
    integral = F.pad(blurred.cumsum(1).cumsum_(2), (1, 0, 1, 0))
    on, off = torch.zeros_like(centre), torch.zeros_like(centre)
    local = [half for half in NEIGHBOURHOODS if half < max(height, width)]
    for half, times in [(half, 1) for half in local] + [(max(height, width), len(NEIGHBOURHOODS) - len(local))]:
        if not times:
            continue
        sums, count = surround_sums(integral, half)
        mean = sums.sub_(centre).div_((count - 1).clamp_(min=1))  # the pixel itself is left out
        contrast = torch.sub(centre, mean, out=mean).trunc_()
        on.add_(contrast.clamp(min=0), alpha=times)
        off.sub_(contrast.clamp_(max=0), alpha=times)
    return (full_range(on) + full_range(off)).remainder_(256).div_(255)


def full_range(contrast: Tensor) -> Tensor:
    """(B, H, W) scaled to a maximum of 255 in each image and truncated; an image of zeros stays so."""
    ratio = contrast / contrast.amax(dim=(1, 2), keepdim=True).clamp_(min=1)
    return ratio.double().mul_(255).floor_().float()  # in float32 a product could round up to the next integer


@torch.no_grad()
def misread_saliency(normalised: Tensor) -> Tensor:
    """(B, H, W) what OpenCV makes of floats: legacy of SaliencyMix, whose centre it makes almost random.

    Args:
        normalised: (B, 3, H, W) images from which the mean is taken and which are divided by the std.

    OpenCV's detector reads the centre pixel at column x as byte x of the row's float32 numbers, which are
    mostly digits of a mantissa, and compares it with the true mean of the surroundings. The release also
    hands over RGB as BGR. Equal to OpenCV's up to float32 rounding, which alone moves the lowest bytes.
    """
    first, second, third = normalised.float().unbind(1)
    brightness = first * 0.114 + second * 0.587 + third * 0.299
    for _ in range(2):
        brightness = blur(brightness).div_(16)
    read = brightness.contiguous().view(torch.uint8)[..., : brightness.shape[2]].float()
    return stand_out(read, brightness)


@torch.no_grad()
def fine_grained_saliency(images: Tensor) -> Tensor:
    """(B, H, W) float32 saliency in [0, 1]; no gradient flows through it.

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
    """Row and column, two (B,) int64, of the most salient pixel of each image; the first one of equals.

    Args:
        saliency: (B, H, W).
    """
    at = saliency.flatten(1).argmax(1)
    return at // saliency.shape[2], at % saliency.shape[2]
