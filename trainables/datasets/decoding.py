"""The work of a worker process: it turns image files into batches of bytes of one size.

Shape letters: n images of a chunk, S side of the result.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Generator, Tensor

from trainables.augment.resized_crop import DRAWS, random_boxes
from trainables.datasets.dataset import DataError
from trainables.datasets.file_list import FileList, shown
from trainables.ranges import Interpolation
from trainables.seeds import derive_seed

UNSIGNED = re.compile(r"I;32B?N")  # Pillow's names of unsigned whole numbers, which it reads as signed
WIDE_COLOURS = re.compile(r"(RGB[AaX]?|LA);16")  # its names of 16-bit colours, of which it reads the highest 8 bits
FILLED = 64  # the least of those 8 bits that some pixel of a file must reach: 2**6, or 14 bits of 16
GROUP = 8  # images decoded at full size at a time; their crops are drawn together


@dataclass(frozen=True, kw_only=True)
class View:
    """The part of an image of any size that is shown: a square of ``size`` pixels a side."""

    size: int
    resize: int | None  # the shorter side is brought to this first; None: the image stays as it is
    squeeze: bool = False  # both sides are brought to ``size`` instead, whatever that does to the image's shape
    scale: float | None = None  # a random box of at least this share of the area, resized; None: the centre, cropped
    interpolation: Interpolation = "bicubic"
    mirror: bool = False  # left to right, half of the time


class Chunk(NamedTuple):
    """A part of a batch, as it comes from a worker process."""

    images: Tensor  # (n, S, S, 3) uint8
    labels: Tensor  # (n,) int64
    failures: list[str]  # one sentence for each image that is missing from ``images``


@dataclass(eq=False)
class Decoder(torch.utils.data.Dataset[Chunk]):
    """The decoded files of a list; the view of an image depends only on the seed and on its index."""

    files: FileList
    view: View
    seed: int = 0

    def __getitem__(self, indices: list[int]) -> Chunk:
        """Return the images at ``indices``; those that cannot be decoded are left out, and named."""
        images = torch.empty(len(indices), self.view.size, self.view.size, 3, dtype=torch.uint8)
        kept: list[int] = []
        failures: list[str] = []
        for start in range(0, len(indices), GROUP):
            decoded: list[Tensor] = []
            for index in indices[start : start + GROUP]:
                path = self.files.path(index)
                try:
                    image = self._resized(decode_bytes(partial(self.files.read, index), path))
                except DataError as error:
                    failures.append(str(error))
                    continue
                decoded.append(image)
                kept.append(index)
            first = len(kept) - len(decoded)
            for row, (image, cut) in enumerate(zip(decoded, self._cuts(decoded, kept[first:]), strict=True), first):
                images[row] = self._shown(image, *cut).permute(1, 2, 0)
        return Chunk(images[: len(kept)], self.files.labels[kept], failures)

    def _cuts(self, images: list[Tensor], indices: list[int]) -> list[tuple[list[int], bool]]:
        """Return the box that is cut out of each image, its top, left, height and width, and whether it is mirrored."""
        if not images:
            return []
        rng = Generator()
        seeds = (derive_seed(self.seed, "view", index) for index in indices)
        draws = torch.stack([torch.rand(DRAWS + 1, generator=rng.manual_seed(seed)) for seed in seeds])
        if self.view.scale is None:
            boxes = [centre(image, self.view.size) for image in images]
        else:
            heights, widths = torch.tensor([image.shape[1:] for image in images]).unbind(1)
            boxes = random_boxes(draws[:, :DRAWS], heights, widths, self.view.scale).tolist()
        mirrored = ((draws[:, DRAWS] < 0.5) & self.view.mirror).tolist()
        return list(zip(boxes, mirrored, strict=True))

    def _shown(self, image: Tensor, box: list[int], mirrored: bool) -> Tensor:
        """Return the shown part, (3, S, S) uint8, of an image (3, H, W)."""
        top, left, height, width = box
        seen = image[:, top : top + height, left : left + width]
        square = interpolate(seen, (self.view.size, self.view.size), self.view)
        return square.flip(2) if mirrored else square

    def _resized(self, image: Tensor) -> Tensor:
        if self.view.squeeze:
            return interpolate(image, (self.view.size, self.view.size), self.view)
        if self.view.resize is None:
            return image
        height, width = image.shape[1:]
        wanted, shorter = self.view.resize, min(height, width)
        return interpolate(image, (wanted * height // shorter, wanted * width // shorter), self.view)


def centre(image: Tensor, size: int) -> list[int]:
    """Return the box of ``size`` pixels a side in the middle of an image (3, H, W), or the whole of a smaller one."""
    height, width = image.shape[1:]
    tall, wide = min(size, height), min(size, width)
    return [round((height - tall) / 2), round((width - wide) / 2), tall, wide]


def interpolate(image: Tensor, size: tuple[int, int], view: View) -> Tensor:
    """Return an image (3, H, W) uint8 resized to (height, width) ``size``."""
    if tuple(image.shape[1:]) == size:
        return image
    batch = image.permute(1, 2, 0)[None].permute(0, 3, 1, 2)  # known to be channels_last, and so is the result
    return F.interpolate(batch, size, mode=view.interpolation, antialias=True)[0]


def decode(path: Path) -> Tensor:
    """Return an image as (3, H, W) uint8, red, green and blue, whatever the file holds.

    Grey values of more than 8 bits, and floating-point ones, are scaled from the file's own least and greatest value to
    0..255: microscopes and X-ray detectors fill 10, 12 or 16 bits, and no file says how many. Two such files that
    differ in brightness or contrast alone become the same. Colours of 16 bits are read by their highest 8, so that a
    file that does not fill 16 bits is refused. The orientation that a camera noted (EXIF) is not applied, as in
    torchvision: turn such files first.

    Raises:
        DataError: the file cannot be read, is not a whole image, has a value that is not finite, or colours of 16 bits
            of which the highest are empty.
    """
    return decode_bytes(path.read_bytes, path)


def decode_bytes(read: Callable[[], bytes], path: Path) -> Tensor:
    """Return the image of the content that ``read`` returns, as ``decode`` does; ``path`` names it in errors."""
    try:
        content = read()
    except OSError as error:
        raise DataError(f"{shown(path)} cannot be read ({error.strerror})") from error
    try:
        image = Image.open(io.BytesIO(content))
        stored = " ".join(str(part.args) for part in image.tile)  # Pillow forgets it once the pixels are read
        image.info.pop("transparency", None)  # it changes no colour, but Pillow warns of it
        if image.mode == "F" or image.mode.startswith("I"):
            values = np.asarray(image)
            pixels = _in_bytes((values.view(np.uint32) if UNSIGNED.search(stored) else values).astype(np.float64))
        else:
            pixels = np.array(image.convert("RGB"))  # (H, W, 3)
        if WIDE_COLOURS.search(stored) and pixels.max() < FILLED:
            raise ValueError("its colours have 16 bits, of which the highest two are empty: save it with 8 bits")
    except (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        reason = str(error).split(" <_io.BytesIO")[0]
        raise DataError(f"{shown(path)} is not a whole image ({reason})") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _in_bytes(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return grey values (H, W), scaled from their own range to 0..255, as (H, W, 3)."""
    low, high = values.min(), values.max()
    if not np.isfinite(high - low):
        raise ValueError("it has values that are not finite")
    scaled = np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8)
    return np.repeat(scaled[:, :, None], 3, axis=2)
