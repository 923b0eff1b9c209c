"""One label for each cell of a small grid, at the least cost, which PuzzleMix and Co-Mixup find by cutting graphs.

The energy of a labelling z is sum_i unary_i(z_i) + sum_ij weight_ij * penalty(z_i, z_j), over the cells i
and the pairs ij of neighbours. The official codes solve it image by image on the processor (alpha-beta swap graph
cuts). Here the whole batch is solved on its device: mean field under falling temperature, then iterated conditional
modes (Besag, "On the Statistical Analysis of Dirty Pictures", 1986), which leave hardly a cell that another label would
suit better. The cells of one colour of a checkerboard have no neighbours of that colour, so all of them are updated at
once and the energy never rises.

Shape letters: B batch, M rows and N columns of the grid, L labels.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from trainables.mixers.mixed import one_hot

# From one that prefers no label to one that decides all, in units of a row's own costs.
TEMPERATURES = torch.logspace(0, -2, 20).tolist()
SWEEPS = 4  # the number of passes of iterated conditional modes


class Energy(NamedTuple):
    """The costs of a batch of labellings."""

    unary: Tensor  # (B, M, N, L)
    vertical: Tensor  # (B, M - 1, N) weight of each pair of cells one above the other
    horizontal: Tensor  # (B, M, N - 1) weight of each pair of cells side by side
    penalty: Tensor  # (L, L) or (B, 1, 1, L, L), symmetric, and 0 between equal labels

    def given(self, beliefs: Tensor) -> Tensor:
        """Return the cost of each label of each cell, (B, M, N, L), given its neighbours.

        ``beliefs`` (B, M, N, L) say how likely each label of each cell is; they are one-hot for a labelling.
        """
        felt = (beliefs[..., None, :] * self.penalty).sum(dim=-1)
        vertical, horizontal = self.vertical[..., None], self.horizontal[..., None]
        cost = torch.zeros_like(felt)
        cost[:, 1:] += vertical * felt[:, :-1]
        cost[:, :-1] += vertical * felt[:, 1:]
        cost[:, :, 1:] += horizontal * felt[:, :, :-1]
        cost[:, :, :-1] += horizontal * felt[:, :, 1:]
        return cost

    def of(self, labels: Tensor) -> Tensor:
        """Return the energy, (B,), of the labelling (B, M, N) int64."""
        chosen = one_hot(labels, self.unary.shape[-1]).to(self.unary.dtype)
        return (chosen * (self.unary + self.given(chosen) / 2)).sum(dim=(1, 2, 3))


def minimise(energy: Energy) -> Tensor:
    """Return labels of low energy, (B, M, N) int64; the lowest is not guaranteed."""
    unary = energy.unary
    count = unary.shape[-1]
    colours = checkerboard(unary)
    spread = unary.amax(dim=-1) - unary.amin(dim=-1)  # (B, M, N)
    scale = spread.mean(dim=(1, 2)) + energy.vertical.mean(dim=(1, 2)) + energy.horizontal.mean(dim=(1, 2))
    scale = scale.clamp_min(torch.finfo(unary.dtype).tiny)[:, None, None, None]
    beliefs = torch.full_like(unary, 1 / count)
    for temperature in TEMPERATURES:
        for colour in colours:
            cost = unary + energy.given(beliefs)
            beliefs = torch.where(colour[..., None], (cost / (-temperature * scale)).softmax(dim=-1), beliefs)

    labels = settle(energy, beliefs.argmax(dim=-1))
    # Where smoothness rules, one label for all cells may be best, and is the hardest to reach cell by cell.
    least, label = unary.sum(dim=(1, 2)).min(dim=1)
    labels = torch.where((least < energy.of(labels))[:, None, None], label[:, None, None], labels)
    return settle(energy, labels)


def settle(energy: Energy, labels: Tensor) -> Tensor:
    """Return labels (B, M, N) int64 of no higher energy: iterated conditional modes give each cell its best in turn."""
    colours = checkerboard(energy.unary)
    for _ in range(SWEEPS):
        for colour in colours:
            cost = energy.unary + energy.given(one_hot(labels, energy.unary.shape[-1]).to(energy.unary.dtype))
            labels = torch.where(colour, cost.argmin(dim=-1), labels)
    return labels


def checkerboard(unary: Tensor) -> tuple[Tensor, Tensor]:
    """Return the black and the white cells, two (M, N) bool, of a grid of costs (B, M, N, L)."""
    at = torch.arange(unary.shape[1], device=unary.device)[:, None] + torch.arange(unary.shape[2], device=unary.device)
    return at % 2 == 0, at % 2 == 1
