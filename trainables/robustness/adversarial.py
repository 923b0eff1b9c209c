"""Adversarial examples: FGSM and PGD, bounded in the maximum norm of pixels.

FGSM: I. Goodfellow et al., ICLR 2015, arXiv:1412.6572. PGD: A. Madry et al., ICLR 2018, arXiv:1706.06083. The mixup
papers report the error under FGSM at 8/255. SUMix's released code adds 8/255 to the *normalised* image and clamps that
to [0, 1], which destroys every pixel below the mean even at a bound of zero; ``fgsm_sumix_release`` does the same, to
reproduce its Table 5 and for nothing else. OpenMixup's PGD multiplies its step by the standard deviation and moves the
reference image; here both stay as the paper has them.

Shape letters: B batch, C channels, H height, W width, L classes, N images.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from trainables.backbones.modes import evaluation_mode
from trainables.robustness.classifier import Classifier, predict

EPSILON = 8 / 255  # bound of the perturbation, in pixels of [0, 1]
STEP = 2 / 255
ITERATIONS = 10

Attack = Callable[[Classifier, Tensor, Tensor], Tensor]  # model, images (B, C, H, W), labels (B,) -> (B, C, H, W)


def loss_gradient(model: Classifier, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient of each image's own cross-entropy, (B, C, H, W); the model's parameters get none.

    The loss is in float64: in float32 the gradient of a confident prediction is exactly zero, so no attack is found.
    """
    with torch.enable_grad():
        pixels = images.detach().requires_grad_(True)
        loss = cross_entropy(model(pixels).double(), labels, reduction="sum")
        return torch.autograd.grad(loss, pixels)[0]


def fgsm(model: Classifier, images: Tensor, labels: Tensor, *, epsilon: float = EPSILON) -> Tensor:
    """Return images (B, C, H, W) in [0, 1], moved one step of ``epsilon`` along the sign of the gradient.

    The model takes pixels in [0, 1], of which ``epsilon`` bounds the change, and is attacked in evaluation mode.
    """
    return pgd(model, images, labels, epsilon=epsilon, step=epsilon, iterations=1)


def pgd(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    rng: Generator | None = None,
    *,
    epsilon: float = EPSILON,
    step: float = STEP,
    iterations: int = ITERATIONS,
) -> Tensor:
    """Return images (B, C, H, W) in [0, 1] after gradient ascent within ``epsilon`` of the originals.

    The start is drawn by ``rng``, uniformly within the bound; without a generator it is the images themselves.
    """
    attacked = images
    if rng is not None:
        uniform = torch.rand(images.shape, generator=rng, device=rng.device).to(images)
        attacked = (images + epsilon * (2 * uniform - 1)).clamp(0, 1)
    with evaluation_mode(model):
        for _ in range(iterations):
            attacked = attacked + step * loss_gradient(model, attacked, labels).sign()
            attacked = torch.clamp(attacked, images - epsilon, images + epsilon).clamp(0, 1)
    return attacked


def fgsm_sumix_release(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    *,
    mean: Sequence[float],
    std: Sequence[float],
    epsilon: float = EPSILON,
) -> Tensor:
    """Return pixels (B, C, H, W) that, once normalised, are those that SUMix's released code feeds the network; legacy.

    The model subtracts ``mean`` from each channel and divides it by ``std``; ``epsilon`` is added to normalised pixels.
    The result is not bounded by it in pixels: whatever is darker than the mean becomes the mean.
    """
    centre, scale = (images.new_tensor(values)[:, None, None] for values in (mean, std))
    with evaluation_mode(model):
        # The sign of a gradient is the same for pixels and for normalised pixels.
        moved = (images - centre) / scale + epsilon * loss_gradient(model, images, labels).sign()
    return moved.clamp(0, 1) * scale + centre


def logits_under_attack(
    model: Classifier,
    images: Tensor,
    labels: Tensor,
    attack: Attack,
    *,
    source: Classifier | None = None,
    batch_size: int = 250,
) -> Tensor:
    """Return the model's logits (N, L), in evaluation mode, for images (N, C, H, W) after an attack.

    The attack, such as ``fgsm`` or ``functools.partial(pgd, rng=...)``, is computed on the model itself, or on another,
    ``source``, from which it is transferred.
    """
    logits = [
        predict(model, attack(source or model, batch, wanted), batch_size)
        for batch, wanted in zip(images.split(batch_size), labels.split(batch_size), strict=True)
    ]
    return torch.cat(logits)
