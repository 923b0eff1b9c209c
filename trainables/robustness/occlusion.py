"""The accuracy on images in which more and more patches are masked.

M. Naseer et al., "Intriguing properties of vision transformers", NeurIPS 2021, arXiv:2105.10497, and Figure 5 of
H. Qin et al., "SUMix", ECCV 2024, arXiv:2407.07805. SUMix's code draws one set of patches a batch; here every image
has its own set, drawn several times, and the same generator gives every model the same sets.

Shape letters: B batch, C channels, H height, W width, P patches of an image, L classes, N images, S shares, D draws.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Generator, Tensor

from trainables.backbones.modes import evaluation_mode
from trainables.mixers.saliency import fine_grained_saliency
from trainables.robustness.classifier import Classifier

Order = Literal["random", "salient", "non_salient"]

SHARES = tuple(range(0, 101, 10))  # percent of the patches that are masked


def default_patch_size(height: int) -> int:
    """Return the side of a patch in pixels: 16 for a photograph (224 pixels), an eighth of a small image (4 of 32)."""
    return 16 if height >= 128 else height // 8


def patch_of_pixel(height: int, width: int, patch_size: int) -> Tensor:
    """Return the number of the patch that each pixel is in, (H, W) int64; patches at the far borders may be cut."""
    if not 1 <= patch_size <= min(height, width):
        raise ValueError(f"patch_size must be between 1 and {min(height, width)} pixels, got {patch_size}")
    columns = -(-width // patch_size)
    rows = torch.arange(height) // patch_size
    return rows[:, None] * columns + torch.arange(width) // patch_size


def masking_ranks(images: Tensor, patches: Tensor, order: Order, chance: Tensor) -> Tensor:
    """Return the rank of each patch in the order of masking, (B, P) int64; k masked patches are those of rank below k.

    The order is that of the random numbers ``chance`` (B, P), which also decide between equally salient patches; or
    that of the mean saliency, the most or the least salient patch first. The patches (H, W) come from
    ``patch_of_pixel``.
    """
    shuffled = chance.argsort(1)
    if order == "random":
        return shuffled.argsort(1)
    saliency = fine_grained_saliency(images).flatten(1)  # (B, HW)
    at = patches.flatten()
    area = torch.bincount(at).to(saliency.dtype)  # (P,)
    mean = torch.zeros_like(chance, dtype=saliency.dtype).index_add_(1, at, saliency) / area
    by_saliency = mean.gather(1, shuffled).argsort(dim=1, descending=order == "salient", stable=True)
    return shuffled.gather(1, by_saliency).argsort(1)


def mask(images: Tensor, patches: Tensor, ranks: Tensor, share: float, fill: Tensor) -> Tensor:
    """Return images (B, C, H, W) with ``share`` percent of the patches, rounded to whole ones, in one colour ``fill``.

    The patches of the lowest ranks (B, P), from ``masking_ranks``, are masked.
    """
    masked = ranks < round(ranks.shape[1] * share / 100)  # (B, P)
    return torch.where(masked[:, patches][:, None], fill[:, None, None].to(images), images)


@torch.no_grad()
def occlusion_accuracy(
    model: Classifier,
    batches: Iterable[tuple[Tensor, Tensor]],  # images (B, C, H, W) in [0, 1] and labels (B,) int64
    count: int,  # images: N, or more
    patches: Tensor,  # (H, W), from ``patch_of_pixel``
    rng: Generator,
    *,
    fill: Sequence[float] | None = None,  # the colour of masked patches by channel, in [0, 1]; None for black
    order: Order = "random",
    draws: int = 3,  # sets of masks for each image
) -> Tensor:
    """Return the top-1 accuracy in percent, (D, S) float64, by draw of the masks and by the S of ``SHARES``.

    Within a draw the masks grow: a patch that is masked at 10 % is masked at 20 %. Images are read once. A fresh
    generator of the same seed gives the same masks, whatever the model, device and sizes of batches; a saliency order
    leaves only the order of equally salient patches to chance.
    """
    # All at once: the numbers must not depend on the batch size.
    chances = [torch.rand(count, int(patches.max()) + 1, generator=rng, device=rng.device) for _ in range(draws)]
    hits: Tensor | None = None  # on the device, and read once: a GPU never waits
    seen = 0
    with evaluation_mode(model):
        for images, labels in batches:
            if hits is None:
                hits = torch.zeros(draws, len(SHARES), dtype=torch.int64, device=images.device)
                patches = patches.to(images.device)
                colour = images.new_zeros(images.shape[1]) if fill is None else images.new_tensor(fill)
            for draw, chance in enumerate(chances):
                ranks = masking_ranks(images, patches, order, chance[seen : seen + len(images)].to(images.device))
                for place, share in enumerate(SHARES):
                    logits = model(mask(images, patches, ranks, share, colour))
                    hits[draw, place] += (logits.argmax(1) == labels).sum()
            seen += len(images)
    assert hits is not None  # there is at least one image
    return 100 * hits.cpu().double() / seen


def area_under_curve(accuracy: Tensor, shares: Sequence[float] = SHARES) -> Tensor:
    """Return the mean of an accuracy (..., S) over ascending shares, (...), in percent, by the trapezoidal rule."""
    return torch.trapezoid(accuracy, torch.tensor(shares, dtype=accuracy.dtype)) / (shares[-1] - shares[0])
