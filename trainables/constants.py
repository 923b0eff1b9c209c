"""Numbers that a step needs in the memory of its device."""

import functools
from typing import Any

import torch
from torch import Tensor


def constant(values: Any, device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return a number, or tuples of numbers, as a tensor on ``device``, which nobody may change.

    On a GPU it is copied once and kept: a copy from the host's memory would hold up every step.
    """
    return (_kept if device.type == "cuda" else torch.tensor)(values, dtype=dtype, device=device)


_kept = functools.cache(torch.tensor)  # never dropped: a CUDA graph reads them where they are
