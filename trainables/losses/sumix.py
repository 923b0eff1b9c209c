"""SUMix: a mixing ratio learned from what the network sees, and a regulariser of its uncertainty.

Qin, Jin, Zhu, Liao, El-Yacoubi, Gao, "SUMix: Mixup with Semantic and Uncertain Information",
ECCV 2024 (arXiv:2407.07805).

This is the paper's definition; ``sumix_release.py`` has the arithmetic of the released code, which
differs. Where the paper leaves a choice open: z is the vector of class logits (with features or
probabilities Eq. 4 hardly moves lambda), and Z_su of Eq. 6 is a vector that is read as logits (as a
scalar it could not enter a cross-entropy). More than two sources are an extension: each source's
weight is scaled by its own distance.

Shape letters: B batch, K sources of a mixture, D features, L classes.
"""

import math
import typing
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainables.mixers.mixed import Mixed, mixed_cross_entropy
from trainables.ranges import NotNegative

Preset = Literal["paper", "release"]
Lam = Literal["fixed", "learned"]
Regulariser = Literal["none", "s", "u", "su"]
RawForward = Literal["train_grad", "train_nograd", "eval_nograd"]


@dataclass(frozen=True, kw_only=True)
class SUMixTerms:
    """Which definition of SUMix, and which of its terms: one row of the paper's Table 6; written ``sumix.lam``, ..."""

    preset: Preset = "paper"  # release: the arithmetic of the released code, ``sumix_release.py``
    lam: Lam = "learned"
    regulariser: Regulariser = "su"  # s: semantic distance, u: uncertainty, su: both
    zeta: NotNegative = 0.5  # weight of the regulariser, Eq. 3
    sem_scale: NotNegative = 1.0  # of the distance of Eq. 4; the paper has 1. With "release" it multiplies N
    # How the batch before mixing is run: with gradient, without, or without and in evaluation mode.
    raw_forward: RawForward = "train_grad"
    # keep: the batch norms' running statistics see the batch before mixing too; leave: they see the mixed one alone.
    raw_statistics: Literal["keep", "leave"] = "keep"
    distance_gradient: Literal["flow", "detach"] = "flow"  # of the semantic term of Eq. 6; the release has none
    z: Literal["logits", "features", "probabilities"] = "logits"  # what Eq. 4 and 6 measure the distance in
    lam_gradient: Literal["detach", "flow"] = "detach"  # of the learned lambda of Eq. 4

    def __post_init__(self) -> None:
        """Refuse the values that a type checker would refuse, for those who build the terms themselves."""
        for name, kind in typing.get_type_hints(type(self)).items():
            value, known = getattr(self, name), typing.get_args(kind)
            if known and value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
            if not known and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be at least 0 and finite, got {value}")

    @property
    def any(self) -> bool:
        """True where the loss differs from the plain mixed cross-entropy."""
        return self.lam == "learned" or self.regulariser != "none"

    @property
    def learns_before_mixing(self) -> bool:
        """True where gradient flows into the batch before mixing: only its uncertainty, Eq. 5, passes any."""
        return "u" in self.regulariser


class SUMixParts(NamedTuple):
    """The loss of a batch, and what it was made of."""

    loss: Tensor  # ()
    weights: Tensor  # (B, K) used by the main loss: learned, or those of the mixer
    regulariser: Tensor  # () before zeta; 0 when switched off


class SUMixLoss(nn.Module):
    """The loss of Eq. 3, and the linear layer that estimates uncertainty (Eq. 5)."""

    def __init__(self, num_features: int, num_classes: int, terms: SUMixTerms, smoothing: float = 0.0) -> None:
        super().__init__()
        self.terms = terms
        self.smoothing = smoothing  # of the targets of the first term; the regulariser's stay as they are
        self.uncertainty = nn.Linear(num_features, num_classes)

    def forward(
        self,
        features: Tensor,  # (B, D) of the batch before mixing
        logits: Tensor,  # (B, L) of the batch before mixing
        mixed_features: Tensor,  # (B, D)
        mixed_logits: Tensor,  # (B, L)
        labels: Tensor,  # (B,) int64
        mixed: Mixed,
    ) -> Tensor:
        """Return the loss, (); half precision is widened to float32 first."""
        return self.parts(features, logits, mixed_features, mixed_logits, labels, mixed).loss

    def parts(
        self,
        features: Tensor,
        logits: Tensor,
        mixed_features: Tensor,
        mixed_logits: Tensor,
        labels: Tensor,
        mixed: Mixed,
    ) -> SUMixParts:
        """Do as ``forward``, and return the weights and the regulariser that went into the loss too."""
        logits, mixed_logits = wide(logits), wide(mixed_logits)
        shift = displacement(mixed_logits, logits[mixed.sources])  # (B, K, L)
        weights = relearn(mixed.weights, shift * self.terms.sem_scale) if self.terms.lam == "learned" else mixed.weights
        loss = mixed_cross_entropy(mixed_logits, labels, mixed._replace(weights=weights), self.smoothing)
        if self.terms.regulariser == "none":
            return SUMixParts(loss, weights, torch.zeros_like(loss))

        energy = torch.zeros_like(shift)  # the exponent of Eq. 6, negated
        if "s" in self.terms.regulariser:
            energy = energy + F.normalize(shift, dim=-1)
        if "u" in self.terms.regulariser:
            energy = energy + self.doubt(features)[mixed.sources] + self.doubt(mixed_features)[:, None]
        regulariser = weighted_cross_entropy(torch.exp(-energy), labels, mixed)
        return SUMixParts(loss + self.terms.zeta * regulariser, weights, regulariser)

    def doubt(self, features: Tensor) -> Tensor:
        """Return Eq. 5 at unit length, (B, L): the paper writes its norm, the released code uses the vector."""
        return F.normalize(wide(self.uncertainty(features)).softmax(dim=-1), dim=-1)


def displacement(mixed_logits: Tensor, source_logits: Tensor) -> Tensor:
    """Return how far mixing moved each source, as the distribution inside the norm of Eq. 4 and 6.

    Args:
        mixed_logits: (B, L).
        source_logits: (B, K, L); they get no gradient.

    Returns:
        (B, K, L), softmax of the difference.
    """
    return (mixed_logits[:, None] - source_logits.detach()).softmax(dim=-1)


def relearn(weights: Tensor, shift: Tensor) -> Tensor:
    """Return the weights of Eq. 4: a source counts for less, the further mixing moved it.

    Args:
        weights: (B, K) drawn by the mixer, rows sum to 1.
        shift: (B, K, L) from ``displacement``.

    Returns:
        (B, K) rows sum to 1, without gradient.
    """
    distance = shift.detach().norm(dim=-1)  # (B, K)
    # The ratio depends on differences alone; the smallest as origin keeps a large scale from underflow.
    scaled = weights * torch.exp(distance.amin(dim=1, keepdim=True) - distance)
    return scaled / scaled.sum(dim=1, keepdim=True)


def weighted_cross_entropy(source_logits: Tensor, labels: Tensor, mixed: Mixed) -> Tensor:
    """Return the mean cross-entropy, (), of each source's own logits, by the mixer's weights (second term of Eq. 3).

    Args:
        source_logits: (B, K, L) one set of logits a source.
        labels: (B,) int64 of the batch before mixing.
        mixed: the batch after mixing.
    """
    log_p = F.log_softmax(source_logits, dim=-1)
    own_class = log_p.gather(-1, labels[mixed.sources][..., None]).squeeze(-1)  # (B, K)
    return -(mixed.weights * own_class).sum(dim=1).mean()


def wide(x: Tensor) -> Tensor:
    """Return ``x`` in float32 at least: exponentials and softmax lose too much in half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
