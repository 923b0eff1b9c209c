"""The transport of PuzzleMix: it decides which cell of an image comes to which place, at nearly the least cost.

Shape letters: B batch, P cells of an image, and as many places for them.
"""

import torch
from torch import Tensor

ROUNDS = 6  # with the costs of PuzzleMix nothing is left to gain after about 5
WORTHWHILE = 1e-7  # a gain below this may be no more than rounding


def assign(cost: Tensor) -> Tensor:
    """Return the cell that comes to each place, (B, P) int64, by the cost (B, P, P) of putting at place p the cell q.

    Every cell starts at its own place. In each round every place names the place that it would gain most from swapping
    with, and those that name each other swap. So the cost falls with every round, and never exceeds that of moving
    nothing. The official code lets cells choose places greedily, which may leave a place empty.
    """
    place = torch.arange(cost.shape[1], device=cost.device)
    cells = place.expand(cost.shape[:2])
    swapped = cost  # (B, P, P) place p with the cell now at place q
    for turn in range(ROUNDS):
        if turn:
            swapped = cost.gather(2, cells[:, None].expand_as(cost))
        now = swapped.diagonal(dim1=1, dim2=2).contiguous()  # read once for each place: far apart, it is slow
        gain, other = (now[:, None] - swapped).sub_(swapped.mT).max(dim=2)
        agreed = (other.gather(1, other) == place) & (gain + now > WORTHWHILE)
        cells = torch.where(agreed, cells.gather(1, other), cells)
    return cells
