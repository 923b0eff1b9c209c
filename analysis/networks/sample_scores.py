"""Scores how uncertain a network is of each image: the spread of its loss over re-mixings of the image with others.

Jeong et al., "Observations on K-image Expansion of Image-Mixing Augmentation", IEEE Access 2023 (arXiv:2110.04248),
section III.C, Eq. 6 to 9; and the two measures that it compares with, of dropout (Gal, Islam, Ghahramani, ICML 2017,
arXiv:1703.02910) and of distance (Sener, Savarese, ICLR 2018, arXiv:1708.00489).

Shape letters: B batch, N images, M re-mixings, K images in a mixture, D features, L classes.
"""

from collections.abc import Iterable

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.backbones.backbone import Network
from trainables.mixers.kimage import blend_sources, nest_sources
from trainables.mixers.mixed import Mixed, dirichlet, itself_and_partners, mixed_targets

ANCHOR = 1 / 3  # phi_i, the share of the image that is scored
OTHERS = 2  # images besides it
CONCENTRATION = 2 / 9  # alpha of their shares: a Dirichlet distribution with alpha 1/3 for all leaves them this
DROPPED = 0.5  # the share of the features that dropout sets to 0
MIXTURES = ("dcutmix", "dmixup")


def remix(images: Tensor, rng: Generator, mixture: str = "dcutmix") -> Mixed:
    """Mix every image with two others by ``dcutmix`` or ``dmixup``; its own share is always a third, theirs are drawn.

    The images (B, C, H, W), in [0, 1], are left unchanged; the generator is on their device.
    """
    size = len(images)
    rest = (1 - ANCHOR) * dirichlet(CONCENTRATION, (size, OTHERS), rng)
    phi = torch.cat((torch.full_like(rest[:, :1], ANCHOR), rest), dim=1)
    sources = itself_and_partners(size, OTHERS, rng)
    if mixture == "dmixup":
        return blend_sources(images, phi, sources)
    return nest_sources(images, phi, sources, rng)


@torch.no_grad()
def mixture_losses(
    network: Network, images: Tensor, labels: Tensor, rng: Generator, *, mixings: int, mixture: str = "dcutmix"
) -> Tensor:
    """Return the loss of each image in each of its mixtures, (B, M) float64, nats.

    The network is in evaluation mode, the labels are (B,) int64, and all else is as for :func:`remix`.
    """
    losses = []
    for _ in range(mixings):
        mixed = remix(images, rng, mixture)
        # Pasting leaves the plain memory format, in which a network takes longer on a processor.
        logits = network(mixed.images.contiguous(memory_format=torch.channels_last)).double()
        exact = mixed._replace(weights=mixed.weights.double())
        targets = mixed_targets(exact, labels, logits.shape[1])
        losses.append(F.cross_entropy(logits, targets, reduction="none"))
    return torch.stack(losses, dim=1)


@torch.no_grad()
def dropout_uncertainty(network: Network, features: Tensor, rng: Generator, *, passes: int) -> Tensor:
    """Return what the classes say about the dropped features, their mutual information, (B,) nats.

    Half of the features (B, D) before the head are dropped, anew in each pass, by draws from ``rng``, which is on their
    device. The network is in evaluation mode.
    """
    probabilities = []
    for _ in range(passes):
        mask = torch.rand(features.shape, generator=rng, device=features.device) >= DROPPED
        probabilities.append(network.head(features * mask / (1 - DROPPED)).double().softmax(dim=1))
    each = torch.stack(probabilities)  # (M, B, L)
    return _entropy(each.mean(dim=0)) - _entropy(each).mean(dim=0)


def _entropy(probabilities: Tensor) -> Tensor:
    return -torch.xlogy(probabilities, probabilities).sum(dim=-1)


def k_centre_order(features: Tensor, labels: Tensor) -> Tensor:
    """Return the rank of every image in the greedy K-centre order of its class, (N,) int64, from 0.

    The first is the image whose features (N, D) are nearest to the class's mean; each next is the farthest from all
    before it. The first k of a class are therefore its k centres, for every k.
    """
    order = torch.zeros(len(labels), dtype=torch.long)
    for label in labels.unique():
        members = torch.where(labels == label)[0]
        points = features[members].float()
        chosen = int((points - points.mean(dim=0)).square().sum(dim=1).argmin())
        nearest = torch.full((len(points),), torch.inf)
        for rank in range(len(points)):
            order[members[chosen]] = rank
            nearest = torch.minimum(nearest, (points - points[chosen]).square().sum(dim=1))
            nearest[chosen] = -torch.inf
            chosen = int(nearest.argmax())
    return order


def score(
    network: Network,
    batches: Iterable[tuple[Tensor, Tensor]],
    device: torch.device,
    *,
    mixings: int,
    mixture: str = "dcutmix",
    baselines: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the scores of all images, in the order of the batches.

    Args:
        network: in evaluation mode, on its device.
        batches: images (B, C, H, W) in [0, 1] and labels (B,), on the same device, in random order.
        mixings: M, at least 2.
        mixture: ``dcutmix`` or ``dmixup``.
        baselines: also the measures of dropout and of distance.
        seed: the seed of everything random.

    Returns:
        Columns ``label``; ``mean`` and ``std`` of the loss over re-mixings (nats, with M in the denominator) and their
        ratio ``cv``; with ``baselines`` also ``dropout`` (nats) and ``k_centre``, the rank in the greedy order.
    """
    rng = Generator(device).manual_seed(seed)
    parts: dict[str, list[Tensor]] = {}
    features: list[Tensor] = []
    for images, labels in batches:
        losses = mixture_losses(network, images, labels, rng, mixings=mixings, mixture=mixture)
        found = {"label": labels, "mean": losses.mean(dim=1), "std": losses.std(dim=1, correction=0)}
        if baselines:
            with torch.no_grad():
                own = network.forward_features(images)
            found["dropout"] = dropout_uncertainty(network, own, rng, passes=mixings)
            features.append(own.cpu())
        for name, values in found.items():
            parts.setdefault(name, []).append(values.cpu())
    columns = {name: torch.cat(values) for name, values in parts.items()}
    table = pd.DataFrame({name: values.numpy() for name, values in columns.items()})
    table.insert(3, "cv", table["std"] / table["mean"])
    if baselines:
        table["k_centre"] = k_centre_order(torch.cat(features), columns["label"]).numpy()
    return table
