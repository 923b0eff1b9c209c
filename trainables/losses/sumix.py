"""SUMix: a mixing ratio that is learned from the network's outputs, and a regulariser of its uncertainty.

Qin, Jin, Zhu, Liao, El-Yacoubi, Gao, "SUMix: Mixup with Semantic and Uncertain Information",
ECCV 2024 (arXiv:2407.07805).

This is the paper's definition; ``sumix_release.py`` has the arithmetic of the released code, which
differs. Where the paper leaves a choice open, an option has each reading (``SUMixTerms``). Z_su of Eq. 6 is
always a vector that is read as logits: as a scalar it could not enter a cross-entropy. More than two
sources are an extension: each source's weight is scaled by its own distance.

Note that l_s pushes against the class. Through the mixed logits its gradient with respect to the logit of a
source's own class is above 0: the more confident the network is of a class, the higher is l_s, which makes it a
penalty on confidence. With ``distance_gradient="detach"``, as in the release, l_s has no gradient at all.

Shape letters: B batch, K sources of a mixture, D features, L classes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.device.precision import wide
from trainables.losses.sumix_terms import SUMixTerms
from trainables.mixers.mixed import Mixed, mixed_cross_entropy

Seen = tuple[Tensor, Tensor]  # features (B, D) and logits (B, L) of a batch, before or after mixing


class SUMixParts(NamedTuple):
    """The loss of a batch, and the weights and the regulariser in it."""

    loss: Tensor  # ()
    weights: Tensor  # (B, K) used by the main loss: learned, or those of the mixer
    regulariser: Tensor  # () before zeta; 0 when switched off
    z_su: Tensor  # () the mean of the regulariser's logits, Z_su in Eq. 6; 0 when switched off


class SUMixLoss(nn.Module):
    """The loss of SUMix (Eq. 3), and the linear layer that estimates uncertainty (Eq. 5)."""

    def __init__(self, num_features: int, num_classes: int, terms: SUMixTerms, smoothing: float = 0.0) -> None:
        super().__init__()
        self.terms = terms
        self.smoothing = smoothing  # for the targets of the first term, not for the regulariser's
        self.uncertainty = nn.Linear(num_features, num_classes)

    def forward(
        self,
        features: Tensor,  # (B, D) of the batch before mixing
        logits: Tensor,  # (B, L) of the batch before mixing
        mixed_features: Tensor,  # (B, D)
        mixed_logits: Tensor,  # (B, L)
        labels: Tensor,  # (B,) int64
        mixed: Mixed,
    ) -> SUMixParts:
        """Return the loss, and the weights and the regulariser that it was made of; half precision is widened first."""
        logits, mixed_logits = wide(logits), wide(mixed_logits)
        shift = self.shift((features, logits), (mixed_features, mixed_logits), labels, mixed)
        weights = self.learned(shift, labels, mixed) if self.terms.lam == "learned" else mixed.weights
        loss = mixed_cross_entropy(mixed_logits, labels, mixed._replace(weights=weights), self.smoothing)
        if self.terms.regulariser == "none":
            return SUMixParts(loss, weights, torch.zeros_like(loss), torch.zeros_like(loss))

        energy = logits.new_zeros(())  # the negated exponent of Eq. 6; it becomes (B, K, L)
        if "s" in self.terms.regulariser:
            energy = energy + self.semantic(shift)
        if "u" in self.terms.regulariser:
            energy = energy + self.doubt(features)[mixed.sources] + self.doubt(mixed_features)[:, None]
        z_su = torch.exp(-energy)
        regulariser = weighted_cross_entropy(z_su, labels, mixed)
        return SUMixParts(loss + self.terms.zeta * regulariser, weights, regulariser, z_su.mean())

    def shift(self, raw: Seen, seen: Seen, labels: Tensor, mixed: Mixed) -> Tensor:
        """Return how far mixing moved each source, (B, K, L), or (B, K, D) for features."""
        return displacement(self.z(*seen), self.z(*raw)[mixed.sources])

    def learned(self, shift: Tensor, labels: Tensor, mixed: Mixed) -> Tensor:
        """Return the learned weights, (B, K)."""
        gradient = self.terms.lam_gradient == "flow"
        weights = relearn(mixed.weights, shift * self.terms.sem_scale, gradient=gradient)
        return weights if self.terms.lam_of == "row" else weights.mean(dim=0).expand_as(weights)

    def semantic(self, shift: Tensor) -> Tensor:
        """Return the semantic distance in Eq. 6, (B, K, L), or (B, K, 1) for features."""
        moved = shift if self.terms.distance_gradient == "flow" else shift.detach()
        return moved.norm(dim=-1, keepdim=True) if self.terms.z == "features" else F.normalize(moved, dim=-1)

    def z(self, features: Tensor, logits: Tensor) -> Tensor:
        """Return the z of Eq. 4 and 6: ``logits`` (B, L), their probabilities, or ``features`` (B, D)."""
        if self.terms.z == "features":
            return wide(features)
        return logits if self.terms.z == "logits" else logits.softmax(dim=-1)

    def doubt(self, features: Tensor) -> Tensor:
        """Return Eq. 5 at unit length, (B, L): the paper writes its norm, the released code uses the vector."""
        return F.normalize(wide(self.uncertainty(features)).softmax(dim=-1), dim=-1)


def displacement(mixed_logits: Tensor, source_logits: Tensor) -> Tensor:
    """Return how far mixing moved each source, (B, K, L): the distribution inside the norm of Eq. 4 and 6.

    The logits, or another z, are (B, L) of the mixed images and (B, K, L) of the sources, which get no gradient.
    """
    return (mixed_logits[:, None] - source_logits.detach()).softmax(dim=-1)


def relearn(weights: Tensor, shift: Tensor, *, gradient: bool = False) -> Tensor:
    """Return the weights of Eq. 4, (B, K) rows of sum 1: the further mixing moved a source, the less it counts.

    ``weights`` are those that the mixer drew, ``shift`` (B, K, L) is what ``displacement`` returns; the gradient flows
    back through it if ``gradient`` is set.
    """
    distance = (shift if gradient else shift.detach()).norm(dim=-1)  # (B, K)
    # The ratio depends on differences alone; the smallest as origin keeps a large scale from underflow. A source
    # without weight cannot be the origin: it may be nearer than all that have weight.
    distance = distance.masked_fill(weights == 0, torch.inf)
    scaled = weights * torch.exp(distance.detach().amin(dim=1, keepdim=True) - distance)
    return scaled / scaled.sum(dim=1, keepdim=True)


def weighted_cross_entropy(source_logits: Tensor, labels: Tensor, mixed: Mixed) -> Tensor:
    """Return the mean cross-entropy, (), of each source's own logits (B, K, L), by the mixer's weights (in Eq. 3)."""
    log_p = F.log_softmax(source_logits, dim=-1)
    own_class = log_p.gather(-1, labels[mixed.sources][..., None]).squeeze(-1)  # (B, K)
    return -(mixed.weights * own_class).sum(dim=1).mean()
