"""Bytes like those of photographs, and their way to Pillow and back."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def photographs(size: int = 8, height: int = 16, width: int = 12) -> Tensor:
    """Return smooth images with some noise, of few and of many values, and one of a single colour."""
    rng = torch.Generator().manual_seed(3)
    smooth = torch.nn.functional.interpolate(
        torch.rand(size, 3, 4, 4, generator=rng), (height, width), mode="bilinear", align_corners=True
    )
    images = smooth * torch.linspace(20, 255, size)[:, None, None, None]
    images[::2] += 5 * torch.randn(images[::2].shape, generator=rng)
    images[1] = images[1, :, :1, :1]
    images[3] = (images[3] / 60).floor() * 60
    return images.round().clamp(0, 255)


def as_pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.byte().permute(1, 2, 0).numpy())


def as_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float()
