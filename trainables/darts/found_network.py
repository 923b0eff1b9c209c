"""The network of a genotype, which is trained from scratch, and its size.

Shape letters: B batch, C channels, H height, W width, L classes.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from trainables.backbones.modes import evaluation_mode
from trainables.darts.genotype import NODES, Edges, Genotype
from trainables.darts.operations import OPERATIONS, Widths, cell_inputs, conv_norm, sizes_of_cells


class Cell(nn.Module):
    """Two inputs, and nodes that each add up the operations on two earlier states; the nodes side by side come out."""

    def __init__(self, edges: Edges, widths: Widths, *, halves: bool, after_halving: bool) -> None:
        super().__init__()
        self.first, self.second = cell_inputs(widths, after_halving=after_halving, affine=True)
        self.inputs = [state for _, state in edges]
        self.operations = nn.ModuleList(
            OPERATIONS[name](widths[2], 2 if halves and state < 2 else 1, True) for name, state in edges
        )

    def forward(self, before_last: Tensor, last: Tensor, drop_path: float) -> Tensor:
        """Return (B, 4 x width, H, W) from the outputs of the last two cells."""
        states = [self.first(before_last), self.second(last)]
        for one, other in pairwise(range(0, 2 * NODES + 1, 2)):
            found = []
            for edge in range(one, other):
                operation = self.operations[edge]
                result = operation(states[self.inputs[edge]])
                if not isinstance(operation, nn.Identity):
                    result = stochastic_depth(result, drop_path, "row", self.training)
                found.append(result)
            states.append(found[0] + found[1])
        return torch.cat(states[2:], dim=1)


class DartsNetwork(nn.Module):
    """Cells in a row, of which those at a third and at two thirds halve the map and double the width."""

    def __init__(
        self, genotype: Genotype, channels: int, cells: int, num_classes: int, *, large: bool = False, auxiliary: bool
    ) -> None:
        """Build the network of a genotype, whose first cells are ``channels`` wide.

        With ``large`` it is for images of 224 pixels, whose map is halved three times before the cells. ``auxiliary``
        adds a second head after two thirds of the cells, which is used in training alone.
        """
        super().__init__()
        self.drop_path = 0.0  # probability that an operation is left out for an image
        stem = 3 * channels
        if large:
            stem = channels
            half = channels // 2
            self.stem: nn.Module = nn.Sequential(*conv_norm(3, half, 2), nn.ReLU(), *conv_norm(half, channels, 2))
            self.second_stem: nn.Module = nn.Sequential(nn.ReLU(), *conv_norm(channels, channels, 2))
        else:
            self.stem = nn.Sequential(*conv_norm(3, stem))
            self.second_stem = nn.Identity()
        self.auxiliary_after = 2 * cells // 3
        self.cells = nn.ModuleList()
        for place, (widths, halves, after_halving) in enumerate(sizes_of_cells(cells, channels, stem, large)):
            edges = genotype.reduce if halves else genotype.normal
            self.cells.append(Cell(edges, widths, halves=halves, after_halving=after_halving))
            last = NODES * widths[2]
            if place == self.auxiliary_after:
                second = _auxiliary_head(last, num_classes, large) if auxiliary else None
                self.auxiliary: nn.Module | None = second
        self.head = nn.Linear(last, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits (B, L) of normalised images (B, 3, H, W), and those of the second head in training."""
        before_last = self.stem(images)
        last, second = self.second_stem(before_last), None
        for place, cell in enumerate(self.cells):
            before_last, last = last, cell(before_last, last, self.drop_path)
            if place == self.auxiliary_after and self.auxiliary is not None and self.training:
                second = self.auxiliary(last)
        return self.head(last.mean(dim=(2, 3))), second


def _auxiliary_head(width: int, num_classes: int, large: bool) -> nn.Module:
    """Return the second head for a map of 8x8, or of 7x7 where ``large``: there it has one batch norm, as in DARTS."""
    return nn.Sequential(
        nn.ReLU(),
        nn.AvgPool2d(5, 2 if large else 3),
        *(nn.Conv2d(width, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU()),
        nn.Conv2d(128, 768, 2, bias=False),
        *((nn.ReLU(),) if large else (nn.BatchNorm2d(768), nn.ReLU())),
        nn.Flatten(),
        nn.Linear(768, num_classes),
    )


def parameters(network: DartsNetwork) -> int:
    """Return the number of parameters in testing: without the second head."""
    return sum(value.numel() for name, value in network.named_parameters() if not name.startswith("auxiliary."))


def flops(network: DartsNetwork, image_shape: tuple[int, int, int]) -> int:
    """Return the operations for one image, counted as the paper's are.

    They are the multiplications of convolutions and of the head, two for each number that a batch norm sees and one for
    each that a ReLU sees; pooling and sums are free. Nothing is computed on the device ``meta``.
    """
    counts: list[int] = []

    def count(module: nn.Module, _: object, result: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            each = module.weight[0].numel()
        else:
            each = {nn.BatchNorm2d: 2, nn.ReLU: 1}.get(type(module), 0)
        counts.append(result.numel() * each)

    counted = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.ReLU)
    hooks = [module.register_forward_hook(count) for module in network.modules() if isinstance(module, counted)]
    with evaluation_mode(network), torch.no_grad():
        network(torch.zeros(1, *image_shape, device=network.head.weight.device))
    for hook in hooks:
        hook.remove()
    return sum(counts)
