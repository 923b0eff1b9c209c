"""The loss of AutoMix's masks, and the schedule of its weight, by hand."""

import math
from typing import Any

import pytest
import torch

from trainables.losses.mix_block import mask_loss, mask_weight_at


def test_the_loss_of_a_masks_mean_by_hand() -> None:
    shares = torch.tensor([0.2, 0.9], dtype=torch.float64).view(2, 1, 1, 1)  # of the partner: the own are 0.8 and 0.1
    mask, lam = shares.expand(2, 1, 4, 3), torch.tensor([0.5, 0.15], dtype=torch.float64)
    assert mask_loss(mask, lam, "row").item() == pytest.approx((0.2 + 0.0) / 2)  # gaps 0.3 and 0.05, less 0.1 each
    assert mask_loss(mask, lam, "batch").item() == pytest.approx(0.125 - 0.1)  # the mean gap is 0.3 - 0.05 halved
    assert mask_loss(mask, lam, "row", epsilon=0.0).item() == pytest.approx((0.3 + 0.05) / 2)


@pytest.mark.parametrize(("decay", "half"), [("none", 0.1), ("cosine", 0.05), ("linear", 0.05)])
def test_gamma_decays(decay: Any, half: float) -> None:
    assert mask_weight_at(0.0, 0.1, decay) == pytest.approx(0.1)
    assert mask_weight_at(0.5, 0.1, decay) == pytest.approx(half)
    assert mask_weight_at(1.0, 0.1, decay) == pytest.approx(0.1 if decay == "none" else 0.0)
    assert decay == "none" or mask_weight_at(0.25, 0.1, decay) == pytest.approx(
        {"cosine": 0.1 * (1 + math.sqrt(0.5)) / 2, "linear": 0.075}[decay]
    )
