"""Rectangles of pixels, one for each row, in which the cutting mixers cut.

Shape letters: B batch (or 1, for one box that the whole batch shares), H height, W width.
"""

from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, blend, on_host, pair

# The weight of a label: the pasted area, or lambda as it was drawn, before a box was clipped at the border.
Label = Literal["area", "drawn"]


class Boxes(NamedTuple):
    """The pixels from (``top``, ``left``) up to, and without, (``bottom``, ``right``)."""

    top: Tensor  # (B,) int64
    bottom: Tensor  # (B,)
    left: Tensor  # (B,)
    right: Tensor  # (B,)


def uniform_pixels(count: int, height: int, width: int, rng: Generator) -> tuple[Tensor, Tensor]:
    """Return the rows and columns, two (count,) int64, of uniformly drawn pixels of an image."""
    rows = torch.randint(height, (count,), generator=rng, device=rng.device)
    return rows, torch.randint(width, (count,), generator=rng, device=rng.device)


def clipped_boxes(centre: tuple[Tensor, Tensor], scale: Tensor, height: int, width: int) -> Boxes:
    """Return boxes of the image's shape, ``scale`` (B,) times its sides, around ``centre`` and clipped at the border.

    ``centre`` is the row and the column of each box, two (B,) int64. As in the official code of CutMix, a side is cut
    down to whole pixels, and half of it, again cut down, lies on either side of the centre, so that sides are even.
    """
    half_height, half_width = (height / 2 * scale).long(), (width / 2 * scale).long()
    row, column = centre
    return Boxes(
        top=(row - half_height).clamp_(min=0),
        bottom=(row + half_height).clamp_(max=height),
        left=(column - half_width).clamp_(min=0),
        right=(column + half_width).clamp_(max=width),
    )


def place(parent: Boxes, sides: tuple[Tensor, Tensor], rng: Generator) -> Boxes:
    """Return a box of the given sides, drawn uniformly from those that lie in ``parent``."""

    def offset(room: Tensor) -> Tensor:
        uniform = torch.rand(len(room), generator=rng, device=rng.device)
        return torch.minimum((uniform * (room + 1)).long(), room)

    height, width = sides
    top = parent.top + offset(parent.bottom - parent.top - height)
    left = parent.left + offset(parent.right - parent.left - width)
    return Boxes(top, top + height, left, left + width)


def centre_in(parent: Boxes, sides: tuple[Tensor, Tensor], row: Tensor, column: Tensor) -> Boxes:
    """Return a box of the given sides around a pixel, shifted, not shrunk, until it lies in ``parent``."""
    height, width = sides
    top = torch.minimum(torch.maximum(row - height // 2, parent.top), parent.bottom - height)
    left = torch.minimum(torch.maximum(column - width // 2, parent.left), parent.right - width)
    return Boxes(top, top + height, left, left + width)


def whole(count: int, height: int, width: int, device: torch.device) -> Boxes:
    """Return ``count`` boxes that are the whole image."""
    zero = torch.zeros(count, dtype=torch.int64, device=device)
    return Boxes(zero, zero + height, zero, zero + width)


def within(first: Tensor, end: Tensor, size: int) -> Tensor:
    """Return (B, size) float32: 1 at the positions from ``first`` up to, and without, ``end``, (B,) each; else 0."""
    at = torch.arange(size, device=first.device)
    return ((at >= first[:, None]) & (at < end[:, None])).float()


def inside(boxes: Boxes, height: int, width: int) -> Tensor:
    """Return (B, 1, H, W) float32: 1 at the pixels of each row's box, 0 elsewhere.

    It is a product of rows and columns, which on the CPU is several times as fast as a mask of truth values.
    """
    rows, columns = within(boxes.top, boxes.bottom, height), within(boxes.left, boxes.right, width)
    return rows[:, None, :, None] * columns[:, None, None, :]


def outside(boxes: Boxes, height: int, width: int) -> Tensor:
    """Return (B, 1, H, W) float32: 1 at the pixels around each row's box, 0 inside."""
    return 1 - inside(boxes, height, width)


def areas(boxes: Boxes) -> Tensor:
    """Return the number of pixels in each box, (B,) int64."""
    return (boxes.bottom - boxes.top) * (boxes.right - boxes.left)


def paste(images: Tensor, partner: Tensor, boxes: Boxes, lam: Tensor, label: Label = "area") -> Mixed:
    """Fill each row's box, or the one box of all, with the same pixels of its partner (B,) int64.

    The weights are counted in pixels, or are ``lam``, (B,) or (1,), as it was drawn. The images are left unchanged.
    """
    height, width = images.shape[2:]
    if on_host(images):
        mixed = _paste_by_box(images, partner, boxes)
    else:
        mixed = blend(images, partner, outside(boxes, height, width))
    return pair(mixed, partner, label_share(boxes, height, width, lam, label))


def _paste_by_box(images: Tensor, partner: Tensor, boxes: Boxes) -> Tensor:
    """Return what ``blend`` would make of the shares ``outside``; NumPy must be able to read the images."""
    own = images.numpy()
    mixed = own.copy(order="K")
    cuts = [
        (..., slice(top, bottom), slice(left, right))
        for top, bottom, left, right in zip(*(edge.numpy().tolist() for edge in boxes), strict=True)
    ]
    if len(cuts) == 1:  # one box for the whole batch
        torch.index_select(torch.from_numpy(own[cuts[0]]), 0, partner, out=torch.from_numpy(mixed[cuts[0]]))
    else:
        for row, (other, cut) in enumerate(zip(partner.numpy().tolist(), cuts, strict=True)):
            mixed[row][cut] = own[other][cut]
    return torch.from_numpy(mixed)


def label_share(boxes: Boxes, height: int, width: int, lam: Tensor, label: Label) -> Tensor:
    """Return the weight of the row's own label, (B,) or (1,) float32; see ``paste``."""
    return 1 - areas(boxes) / (height * width) if label == "area" else lam
