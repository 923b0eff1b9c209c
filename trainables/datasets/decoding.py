"""From image files to batches of bytes of one size: what a worker process does.

Shape letters: n images of a chunk, S side of the result.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Generator, Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from trainables.datasets.dataset import DataError
from trainables.datasets.file_list import FileList
from trainables.resized_crop import DRAWS, Interpolation, random_boxes
from trainables.seeds import derive_seed


@dataclass(frozen=True, kw_only=True)
class View:
    """What is shown of an image of any size: a square of ``size`` pixels a side."""

    size: int
    resize: int | None  # the shorter side is brought to this first; None: the image stays as it is
    scale: float | None = None  # a random box of at least this share of the area, resized; None: the centre, cut
    interpolation: Interpolation = "bicubic"


class Chunk(NamedTuple):
    """Part of a batch, as it comes from a worker process."""

    images: Tensor  # (n, S, S, 3) uint8
    labels: Tensor  # (n,) int64
    failures: list[str]  # one sentence for each image that is missing in the above


class Decoder(torch.utils.data.Dataset[Chunk]):
    """Decodes the files of a list; an image's random crop depends on the seed and its index alone."""

    def __init__(self, files: FileList, view: View, seed: int = 0) -> None:
        self.files = files
        self.view = view
        self.seed = seed

    def __getitems__(self, indices: list[int]) -> Chunk:
        """The images at ``indices``; those that cannot be decoded are left out, and named."""
        decoded: list[Tensor] = []
        kept: list[int] = []
        failures: list[str] = []
        for index in indices:
            try:
                image = decode(self.files.path(index))
            except DataError as error:
                failures.append(str(error))
                continue
            decoded.append(image if self.view.resize is None else self._resized(image))
            kept.append(index)
        images = torch.empty(len(kept), self.view.size, self.view.size, 3, dtype=torch.uint8)
        for row, box in enumerate(self._boxes(decoded, kept)):
            top, left, height, width = box
            seen = decoded[row][:, top : top + height, left : left + width]
            images[row] = interpolate(seen, (self.view.size, self.view.size), self.view).permute(1, 2, 0)
        return Chunk(images, self.files.labels[kept], failures)

    def _boxes(self, images: list[Tensor], indices: list[int]) -> list[list[int]]:
        """Top, left, height and width of what is shown of each image."""
        if self.view.scale is None:
            return [centre(image, self.view.size) for image in images]
        if not images:
            return []
        rng = Generator()
        draws = [torch.rand(DRAWS, generator=rng.manual_seed(derive_seed(self.seed, "crop", i))) for i in indices]
        heights, widths = torch.tensor([image.shape[1:] for image in images]).unbind(1)
        return random_boxes(torch.stack(draws), heights, widths, self.view.scale).tolist()

    def _resized(self, image: Tensor) -> Tensor:
        assert self.view.resize is not None
        height, width = image.shape[1:]
        shorter = min(height, width)
        return interpolate(
            image, (self.view.resize * height // shorter, self.view.resize * width // shorter), self.view
        )


def centre(image: Tensor, size: int) -> list[int]:
    """The box of ``size`` pixels a side in the middle of an image (3, H, W), or the whole of a smaller one."""
    height, width = image.shape[1:]
    tall, wide = min(size, height), min(size, width)
    return [round((height - tall) / 2), round((width - wide) / 2), tall, wide]


def interpolate(image: Tensor, size: tuple[int, int], view: View) -> Tensor:
    """An image (3, H, W) uint8 resized to (height, width) ``size``."""
    if tuple(image.shape[1:]) == size:
        return image
    return F.interpolate(image[None], size, mode=view.interpolation, antialias=True)[0]


def decode(path: Path) -> Tensor:
    """(3, H, W) uint8, red, green and blue, whatever the file holds.

    Raises:
        DataError: the file cannot be read, or is no whole image.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if content[:2] == b"\xff\xd8":
        try:
            return decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8), mode=ImageReadMode.RGB)
        except RuntimeError:
            pass  # Pillow reads more kinds of JPEG, and says better what is wrong
    try:
        pixels = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        reason = str(error).replace("<_io.BytesIO object at ", "<").split(" <")[0]
        raise DataError(f"{path} is not a whole image ({reason})") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)
