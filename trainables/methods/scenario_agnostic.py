"""SAMix's training: AutoMix's, with its own block and a loss that rewards masks for being far from even.

Li et al. 2021 (arXiv:2111.15454). The block is in ``losses/samix_block.py``.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from trainables.losses.samix_block import SAMixBlock, mask_variance
from trainables.methods.mask_learning import AutoMixing


class SAMixing(AutoMixing):
    """AutoMix's momentum pipeline around SAMix's block."""

    @staticmethod
    def make_block(channels: int, options: Mapping[str, Any]) -> nn.Module:
        """See ``AutoMixing.make_block``."""
        return SAMixBlock(channels, options["lam_k"])

    def mask_gap(self, mask: Tensor, lam: Tensor) -> Tensor:
        """See ``AutoMixing.mask_gap``; the variance of the masks is taken off."""
        variance = mask_variance(mask, self.options["mask_loss"])
        return super().mask_gap(mask, lam) - self.options["variance_weight"] * variance
