"""SUMix as its released code computes it: the preset ``release``.

Qin, Jin, Zhu, Liao, El-Yacoubi, Gao, "SUMix: Mixup with Semantic and Uncertain Information",
ECCV 2024 (arXiv:2407.07805); the released head is ``ClsUncertainMixupHead``.

It differs from the paper's definition (``sumix.py``), and a study can compare the two:

- z is the vector of class probabilities, without gradient, and the class of the other source is set to 0 in it;
- the distance of Eq. 4 is one coordinate, that of the source's own class, of a vector of length N, the batch
  size (of each GPU, for which ``accumulate`` can stand). A class that was lost in the mixture has the *small*
  coordinate, so it gains weight: at N = L = 100 the labels of a calibrated network are all but swapped;
- only the batch's mean of lambda enters the loss, for the released head averages the cross-entropy first;
- the regulariser's semantic term carries no gradient, and at N = 100 its logits are about exp(-10), so that
  neither does much else;
- a pair of one class has its own class set to 0 too: both distances become those of a class that was gained,
  and, being nearly equal, leave lambda nearly as the mixer drew it.

The release cannot run as published (its head returns a name that it never set), but its intent is clear.

Shape letters: B batch, K = 2 sources of a mixture, D features, L classes.
"""

import torch.nn.functional as F
from torch import Tensor

from trainables.losses.sumix import Seen, SUMixLoss
from trainables.mixers.mixed import Mixed


class ReleasedSUMixLoss(SUMixLoss):
    """``SUMixLoss`` in the arithmetic of the released code, for pairs only.

    ``sem_scale`` multiplies N: 1 is the release, 1 / N takes N out.
    """

    def shift(self, raw: Seen, seen: Seen, labels: Tensor, mixed: Mixed) -> Tensor:
        """See ``SUMixLoss.shift``; raise ``ValueError`` unless pairs are mixed, for which alone it has a rule."""
        if mixed.sources.shape[1] != 2:
            raise ValueError(
                f"sumix.preset 'release' is defined for mixtures of 2 images, got {mixed.sources.shape[1]}; "
                "'paper' takes any number"
            )
        before, after = (logits.detach().softmax(dim=-1) for logits in (raw[1][mixed.sources], seen[1]))
        other_class = labels[mixed.sources].flip(1)  # (B, 2)
        moved = after[:, None] - before.scatter(-1, other_class[..., None], 0)
        distance = F.normalize(moved.softmax(dim=-1), dim=-1)
        return distance * (self.terms.sem_scale * len(labels))  # (B, 2, L)

    def learned(self, shift: Tensor, labels: Tensor, mixed: Mixed) -> Tensor:
        """See ``SUMixLoss.learned``; each of the B rows is the mean over the batch."""
        at_label = shift.gather(-1, labels[mixed.sources][..., None]).squeeze(-1)  # (B, 2)
        return (mixed.weights.log() - at_label).softmax(dim=1).mean(dim=0).expand_as(mixed.weights)

    def semantic(self, shift: Tensor) -> Tensor:
        return shift
