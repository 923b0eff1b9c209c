"""Widens numbers in half precision, where they would lose too much."""

import torch
from torch import Tensor


def wide(x: Tensor) -> Tensor:
    """Return ``x`` in float32 at least: exponentials, softmax and sums lose too much in half precision."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
