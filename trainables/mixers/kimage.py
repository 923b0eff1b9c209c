"""DMixup and DCutMix: mixtures of K images, whose shares are drawn from a Dirichlet distribution.

J. Jeong, S. Cha, J. Choi, S. Yun, T. Moon and Y. Yoo, "Observations on K-image Expansion of Image-Mixing
Augmentation", IEEE Access 2023, arXiv:2110.04248.
"""

import torch
from torch import Generator, Tensor

from trainables.mixers.boxes import Boxes, areas, inside, place, whole
from trainables.mixers.mixed import Mixed, dirichlet, itself_and_partners
from trainables.ranges import Several


def draw_phi(size: int, rng: Generator, *, alpha: float, num_images: int, per_batch: bool) -> tuple[Tensor, Tensor]:
    """Return the shares phi, (B or 1, K) float32, and each row's sources, (B, K) int64: itself, then permutations."""
    phi = dirichlet(alpha, (1 if per_batch else size, num_images), rng)
    return phi, itself_and_partners(size, num_images - 1, rng)


def patch_sides(phi: Tensor, height: int, width: int) -> list[tuple[Tensor, Tensor]]:
    """Return the height and width, two (B,) int64, of each of the K - 1 nested patches: the stick-breaking process.

    Patch k takes ``1 - v_k`` of the patch before it, where ``v_k = phi_k / ((1 - v_1) ... (1 - v_{k-1}))`` is the share
    broken off for image k, from shares phi (B, K); ``1 - v_k`` is the rest of the stick after k over that before.
    """
    sides = []
    patch = (torch.full_like(phi[:, 0], height), torch.full_like(phi[:, 0], width))
    for k in range(1, phi.shape[1]):
        left, before = phi[:, k:].sum(dim=1), phi[:, k - 1 :].sum(dim=1)
        scale = (left / before.clamp(min=torch.finfo(phi.dtype).tiny)).clamp_(max=1).sqrt_()
        patch = ((patch[0] * scale).round(), (patch[1] * scale).round())
        sides.append((patch[0].long(), patch[1].long()))
    return sides


def layered(boxes: list[Boxes], images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the topmost image at each pixel, (B or 1, H, W) int64 in 0..K-1, and the weights, (B, K) float32.

    The box of each of the K images is inside the one before; the first is the whole image.
    """
    size, _, height, width = images.shape
    layer = torch.stack([inside(box, height, width)[:, 0] for box in boxes[1:]]).sum(dim=0).long()
    area = torch.stack([areas(box) for box in boxes], dim=1)
    visible = area - torch.cat((area[:, 1:], torch.zeros_like(area[:, :1])), dim=1)
    return layer, (visible / (height * width)).expand(size, -1)


def stack_layers(images: Tensor, sources: Tensor, layer: Tensor) -> Tensor:
    """Return (B, C, H, W): each pixel comes from source number ``layer``, (B or 1, H, W), of ``sources`` (B, K)."""
    row = sources.gather(1, layer.expand(len(images), -1, -1).flatten(1)).view(-1, 1, *images.shape[2:])
    return images.gather(0, row.expand_as(images))


def dmixup(
    images: Tensor, rng: Generator, *, alpha: float = 1.0, num_images: Several = 5, per_batch: bool = False
) -> Mixed:
    """Replace every image by the mean of K images, weighted by phi ~ Dirichlet(alpha, ..., alpha).

    Args:
        alpha: concentration of every share.
        num_images: K; 2 is mixup.
        per_batch: one phi for the whole batch; the official code draws one per row, as here.

    A row may meet the same source twice; its weights add up in the loss.
    """
    return blend_sources(images, *draw_phi(len(images), rng, alpha=alpha, num_images=num_images, per_batch=per_batch))


def blend_sources(images: Tensor, phi: Tensor, sources: Tensor) -> Mixed:
    """Return the mean of each row's sources, (B, K) int64, weighted by phi (B or 1, K): Eq. 2 of the paper."""
    shares = phi.to(images.dtype)[..., None, None, None]
    mixed = images * shares[:, 0]
    for k in range(1, phi.shape[1]):
        mixed.addcmul_(images.index_select(0, sources[:, k]), shares[:, k])
    return Mixed(mixed, sources, phi.expand(len(images), -1))


def dcutmix(
    images: Tensor, rng: Generator, *, alpha: float = 1.0, num_images: Several = 5, per_batch: bool = False
) -> Mixed:
    """Paste K - 1 nested patches into every image, each from another image and inside the patch before.

    Args besides those of ``dmixup``:
        alpha: draws phi ~ Dirichlet(alpha, ..., alpha), the share of the area that each image gets.
        per_batch: one set of patches for the whole batch; the official code draws one per row, as here.

    Weights are counted in pixels; sides are whole numbers, so the weights differ from phi by 0.01 on average at 32x32.
    A patch is uniform inside the one before on each axis. The official code puts it at the corner when it is as long as
    the one before on either axis.
    """
    phi, sources = draw_phi(len(images), rng, alpha=alpha, num_images=num_images, per_batch=per_batch)
    return nest_sources(images, phi, sources, rng)


def nest_sources(images: Tensor, phi: Tensor, sources: Tensor, rng: Generator) -> Mixed:
    """Return each row's sources, (B, K) int64, in nested patches of shares phi (B or 1, K): Eq. 4 and 5."""
    height, width = images.shape[2:]
    boxes = [whole(len(phi), height, width, images.device)]
    for sides in patch_sides(phi, height, width):
        boxes.append(place(boxes[-1], sides, rng))
    layer, weights = layered(boxes, images)
    return Mixed(stack_layers(images, sources, layer), sources, weights)
