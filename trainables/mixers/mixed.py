"""A mixed batch, the loss on it, and the draws that every mixer shares.

Shape letters: B batch, K sources of a mixture, C channels, H height, W width, L classes.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.device.precision import wide
from trainables.parallel.rows import shares

PORTION = 2**16  # pixels of a channel in one portion of a batch


class Mixed(NamedTuple):
    """A batch in which row ``b`` is made of the rows ``sources[b]`` of the batch before mixing."""

    images: Tensor  # (B, C, H, W)
    sources: Tensor  # (B, K) int64; sources[b, 0] == b
    weights: Tensor  # (B, K) rows sum to 1; weights[b, 0] is the paper's lambda
    depth: int = 0  # stages of the network that ``images`` have been through: 0 for pixels, else feature maps


def mixed_targets(mixed: Mixed, labels: Tensor, num_classes: int) -> Tensor:
    """Return soft targets (B, L): the label of each source, by its weight. Equal labels add up.

    ``labels`` (B,) int64 are, here and below, those of the batch before mixing.
    """
    classes = labels[mixed.sources]  # (B, K)
    targets = mixed.weights.new_zeros(len(classes), num_classes)
    if classes.shape[1] == 2:  # the sum of two numbers that meet in one place does not depend on their order
        return targets.scatter_add_(1, classes, mixed.weights)
    # One source at a time: then no two numbers meet in one place, and a GPU has no order of adding to choose.
    for of_source, weight in zip(classes.split(1, dim=1), mixed.weights.split(1, dim=1), strict=True):
        targets.scatter_add_(1, of_source, weight)
    return targets


def mixed_cross_entropy(logits: Tensor, labels: Tensor, mixed: Mixed, smoothing: float = 0.0) -> Tensor:
    """Return the mean over the batch, (), of each row's own weighted cross-entropy (Eq. 2 of SUMix).

    The logits (B, L) are those of the mixed images; ``smoothing`` is the share of a target that all classes get evenly.
    The codes of Manifold Mixup, PuzzleMix and Co-Mixup have the binary cross-entropy of the softmax in its place.
    """
    return F.cross_entropy(*_answers_and_targets(logits, labels, mixed), label_smoothing=smoothing)


def mixed_binary_cross_entropy(logits: Tensor, labels: Tensor, mixed: Mixed) -> Tensor:
    """Return the mean over the batch and the classes, (): each class is a question of its own ("ResNet strikes back").

    As in OpenMixup, which sums over the classes, the answer to a mixed class is its weight; the paper's own code makes
    it 1 above 0.2.
    """
    return F.binary_cross_entropy_with_logits(*_answers_and_targets(logits, labels, mixed))


def _answers_and_targets(logits: Tensor, labels: Tensor, mixed: Mixed) -> tuple[Tensor, Tensor]:
    """Return the logits and their soft targets, (B, L) each, of one type.

    Logits in half precision are widened: bfloat16 would round a lambda to one of 256 steps between 0.5 and 1.
    """
    logits = wide(logits)
    return logits, mixed_targets(mixed, labels, logits.shape[-1]).to(logits.dtype)


def one_hot(classes: Tensor, count: int) -> Tensor:
    """Return (..., count) bool: True at each class (...). Torch's own reads the classes back on a processor."""
    return classes[..., None] == torch.arange(count, device=classes.device)


def dirichlet(alpha: float, shape: tuple[int, int], rng: Generator) -> Tensor:
    """Return rows drawn from Dirichlet(alpha, ..., alpha), (B, K) float32, on the generator's device.

    They are computed in float64 from the logarithms of gamma draws, so that the small ``alpha`` of the cutting mixers
    (0.2 and below) never divides 0 by 0.
    """
    if not 0 < alpha < float("inf"):
        raise ValueError(f"alpha must be above 0 and finite, got {alpha}")
    # Gamma(a) = Gamma(a + 1) * U^(1/a): exact, and the logarithm never underflows.
    concentration = torch.full(shape, alpha + 1.0, dtype=torch.float64, device=rng.device)
    uniform = torch.rand(shape, generator=rng, dtype=torch.float64, device=rng.device)
    # Below 1e-300 the quotient would be infinite; by then one share is 1 and the others are 0.
    exponential = uniform.neg_().log1p_().div_(max(alpha, 1e-300))
    log_gamma = torch._standard_gamma(concentration, generator=rng).log_().add_(exponential)
    return log_gamma.softmax(dim=1).float()


def beta(alpha: float, size: int, rng: Generator, other: float | None = None) -> Tensor:
    """Return a lambda for each row, (B,) float32, drawn on the generator's device from Beta(alpha, alpha).

    With ``other``, at least 1, it is drawn from Beta(alpha, other).
    """
    if other is None:
        return dirichlet(alpha, (size, 2), rng)[:, 0]
    concentration = torch.full((size, 2), other, dtype=torch.float64, device=rng.device)
    concentration[:, 0] = alpha
    gamma = torch._standard_gamma(concentration, generator=rng)
    return (gamma[:, 0] / gamma.sum(dim=1)).float()


def partners(size: int, rng: Generator) -> Tensor:
    """Return which row each row is mixed with, (B,) int64: a uniform permutation of the batch.

    The codes of DeiT and TransMix, by timm, pair the batch with its reverse instead, so that no row meets itself.
    """
    return torch.randperm(size, generator=rng, device=rng.device)


def itself_and_partners(size: int, others: int, rng: Generator) -> Tensor:
    """Return the sources of each row, (B, 1 + others) int64: itself, then uniform permutations of the batch."""
    own = torch.arange(size, device=rng.device)
    return torch.stack([own, *(partners(size, rng) for _ in range(others))], dim=1)


def distinct_sources(size: int, count: int, rng: Generator) -> Tensor:
    """Return each row, then those that follow it in a random circle of all rows, (B, K) int64."""
    circle = torch.randperm(size, generator=rng, device=rng.device)
    place = circle.argsort()
    return circle[(place[:, None] + torch.arange(count, device=rng.device)) % size]


def on_host(images: Tensor) -> bool:
    """Return whether NumPy can work on the memory of these images.

    NumPy starts to copy a part of an image several times as fast as torch, and it puts large arrays into large pages,
    which are several times as fast to touch for the first time.
    """
    plain = type(images) is Tensor and not images.requires_grad  # a fake tensor has no memory
    return plain and images.device.type == "cpu" and images.dtype == torch.float32


def portions(images: Tensor) -> list[slice]:
    """Return slices of the batch (B, ..., H, W) that are worked on one after another.

    On a processor a slice fits its caches, so that a chain of operations on one slice after another is several times as
    fast; on a GPU there is one slice. No slice of a larger batch is a single row, which libraries compute differently.
    """
    rows = len(images)
    size = max(2, PORTION // (images.shape[-2] * images.shape[-1]))
    return shares(rows, max(1, rows // size) if images.device.type == "cpu" else 1)


def blend(images: Tensor, partner: Tensor, own: Tensor) -> Tensor:
    """Return images (B, C, H, W) that are the row's own image by the share ``own``, and its partner for the rest.

    The shares, in [0, 1], have a shape that broadcasts with the images, which are left unchanged. The result is exact
    where a share is 0 or 1. Working in place on the copy of the partners is several times as fast as ``torch.where``.
    """
    own = own.to(images.dtype)
    if images.requires_grad:
        return images.index_select(0, partner).lerp_(images, own)
    mixed = torch.from_numpy(np.empty_like(images.numpy())) if on_host(images) else torch.empty_like(images)
    if len(own) == 1:
        own = each_channel(own, images)
    for rows in portions(images):
        shares = own if len(own) == 1 else each_channel(own[rows], images)
        torch.index_select(images, 0, partner[rows], out=mixed[rows]).lerp_(images[rows], shares)
    return mixed


def blend_by_masks(images: Tensor, sources: Tensor, masks: Tensor) -> Tensor:
    """Return the sum (B, C, H, W) of each row's sources (B, K) int64, by masks (B, K, H, W)."""
    mixed = torch.zeros_like(images)
    for source, mask in zip(sources.T, masks.to(images.dtype).unbind(1), strict=True):
        mixed = mixed + images[source] * mask[:, None]
    return mixed


def each_channel(own: Tensor, images: Tensor) -> Tensor:
    """Return the shares ``own``, repeated for each channel where this is faster than broadcasting.

    In channels_last the few channels of a pixel lie side by side, and a share would be broadcast to three numbers only.
    """
    channels = images.shape[1]
    if own.shape[1:] != (1, *images.shape[2:]) or not 1 < channels < 5 or images.stride(1) != 1:
        return own
    repeated = torch.empty_like(images[: len(own)])
    for channel in range(channels):
        repeated[:, channel] = own[:, 0]
    return repeated


def pair(images: Tensor, partner: Tensor, lam: Tensor) -> Mixed:
    """Return a ``Mixed`` with K = 2 of images already mixed: row ``b`` kept ``lam[b]``, the rest is ``partner[b]``.

    ``lam`` is (B,), or (1,) for all rows.
    """
    own = torch.arange(len(partner), device=partner.device)
    lam = lam.expand(len(partner))
    return Mixed(images, torch.stack((own, partner), dim=1), torch.stack((lam, 1 - lam), dim=1))


def side_by_side(parts: Sequence[Mixed]) -> Mixed:
    """Join mixed batches of consecutive rows, all of one depth, into one mixed batch.

    Where some have fewer sources than others, their rows are named again as sources, without weight.
    """
    starts = itertools.accumulate((len(part.images) for part in parts[:-1]), initial=0)
    count = max(part.sources.shape[1] for part in parts)
    sources, weights = [], []
    for part, start in zip(parts, starts, strict=True):
        lacking = count - part.sources.shape[1]
        sources.append(torch.cat((part.sources, part.sources[:, :1].expand(-1, lacking)), dim=1) + start)
        weights.append(F.pad(part.weights, (0, lacking)))
    return Mixed(torch.cat([part.images for part in parts]), torch.cat(sources), torch.cat(weights), parts[0].depth)


def alone(images: Tensor) -> Mixed:
    """Return a ``Mixed`` with K = 1: every row is its own image, or what remains of it, and keeps its label."""
    own = torch.arange(len(images), device=images.device)[:, None]
    return Mixed(images, own, torch.ones(own.shape, device=images.device))
