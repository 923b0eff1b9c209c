"""SuperMix: masks that a teacher's own gradient shapes until it sees all the mixed images' classes.

A. Dabouei, S. Soleymani, F. Taherkhani and N. M. Nasrabadi, "SuperMix: Supervising the Mixing Data
Augmentation", CVPR 2021, arXiv:2003.05034.

Shape letters: B batch, K sources of a mixture, C channels, H height, W width, S side of a mask, L classes.
"""

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, blend_by_masks, dirichlet, distinct_sources
from trainables.ranges import Iterations, NotNegative, Several

SMALLEST_STEP, LARGEST_STEP = 1e-4, 2e3
LOSS_SCALE = 1024.0  # keeps a gradient in half precision from vanishing; a power of two costs no digit


def supermix(
    images: Tensor,
    rng: Generator,
    *,
    alpha: float = 3.0,
    num_images: Several = 2,
    mask_size: Annotated[int, Field(ge=1, le=256)] = 8,
    sigma: Annotated[float, Field(gt=0, le=100)] = 1.0,
    sparsity: NotNegative = 25.0,
    max_iter: Iterations = 10,
    teacher: str | None = None,
    teach: Callable[[Tensor], Tensor],
) -> Mixed:
    """Mix every image with others by masks for which the teacher predicts their classes, in the drawn shares.

    Args:
        alpha: draws the shares of a row's sources from Dirichlet(alpha, ...).
        num_images: K.
        mask_size: S, before a mask is enlarged to the image.
        sigma: standard deviation, in cells of a mask, of the Gaussian that smooths its gradient.
        sparsity: the paper's lambda_s, weight of the term that drives masks to 0 or 1.
        max_iter: steps on the masks; each costs a forward and a backward pass of the teacher.
        teacher: read by ``methods/frozen_teacher.py``, which chooses what ``teach`` is.
        teach: from pixels (B, C, H, W) to the teacher's logits (B, L), with a gradient back to the pixels.

    A row for which no masks were found keeps its image and its label: its weights are 1, 0, ...

    The official code makes 500,000 such images beforehand, in at most 50 steps, fewer once 30 % of a batch are found,
    drops the others, and trains a student on the teacher's predictions of them. Here they are made as they are needed,
    and the labels are the sources' own. Its masks are 16 x 16 by default, 8 x 8 for CIFAR in the paper. Where all
    sources are of one class, here that class is enough; it also waits for others, whichever they are.
    """
    shares = dirichlet(alpha, (len(images), num_images), rng)
    sources = distinct_sources(len(images), num_images, rng)

    pixels = images.detach().float()
    with torch.no_grad():
        wanted = teach(pixels).argmax(dim=1)[sources]  # (B, K) the teacher's classes, not the true ones
    masks = torch.zeros(*sources.shape, mask_size, mask_size, device=images.device)
    solved = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for iteration in range(max_iter + 1):
        with torch.enable_grad():
            masks.requires_grad_()
            spread = spread_masks(masks, images.shape[2:])
            logits = teach(blend_by_masks(pixels, sources, spread)).float()
            loss = divergence(logits, wanted, shares) + sparsity * (spread * (1 - spread)).mean(dim=(1, 2, 3))
            found = (logits.topk(min(num_images, logits.shape[1])).indices[:, None] == wanted[..., None]).any(dim=2)
            if iteration:  # plain averages are not taken for masks
                solved = solved | found.all(dim=1)
            if iteration == max_iter:
                break
            (gradient,) = torch.autograd.grad(loss.sum() * LOSS_SCALE, masks)
        step = newton_step(loss, gradient / LOSS_SCALE, sigma)
        masks = torch.where(solved[:, None, None, None], masks, masks - step).detach()

    mixed = blend_by_masks(images, sources, spread_masks(masks.detach(), images.shape[2:]))
    own = torch.arange(num_images, device=images.device) == 0
    return Mixed(
        torch.where(solved[:, None, None, None], mixed, images),
        sources,
        torch.where(solved[:, None], shares, own.float()),
    )


def spread_masks(masks: Tensor, size: torch.Size) -> Tensor:
    """Return masks (B, K, S, S), enlarged to (B, K, H, W) and squashed so that those of a row's sources sum to 1."""
    positive = F.interpolate(masks, size, mode="bilinear").sigmoid()
    return positive / positive.sum(dim=1, keepdim=True)


def divergence(logits: Tensor, wanted: Tensor, shares: Tensor) -> Tensor:
    """Return the divergence (B,) of the prediction from the classes ``wanted`` by ``shares``, (B, K) each."""
    target = torch.zeros_like(logits).scatter_add_(1, wanted, shares)
    return F.kl_div(logits.log_softmax(dim=1), target, reduction="none").sum(dim=1)


def newton_step(loss: Tensor, gradient: Tensor, sigma: float) -> Tensor:
    """Return the smoothed gradient (B, K, S, S) of a loss (B,), scaled, within bounds, to bring a linear loss to 0.

    The Gaussian of ``sigma`` has int(5 sigma) taps, and there are zeros beyond the border.
    """
    taps = max(1, int(5 * sigma))
    at = torch.arange(taps, device=gradient.device) - (taps - 1) / 2
    kernel = (-(at / sigma).square() / 2).exp()
    kernel = kernel / kernel.sum()
    padded = F.pad(gradient, (taps // 2 - (1 - taps % 2), taps // 2) * 2)
    smooth = (padded.unfold(2, taps, 1) * kernel).sum(dim=-1)
    smooth = (smooth.unfold(3, taps, 1) * kernel).sum(dim=-1)
    along = (gradient * smooth).sum(dim=(1, 2, 3))
    length = (loss.detach().abs() / (along + 1e-10)).clamp(SMALLEST_STEP, LARGEST_STEP)
    return length[:, None, None, None] * smooth
