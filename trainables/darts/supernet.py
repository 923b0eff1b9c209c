"""The network of all operations at once, each of which has a weight.

Partial channels (section 3.1 of the paper): an edge applies its operations to a quarter of the channels and passes the
others on, then shuffles them. Edge normalisation (section 3.2): each node also weighs the edges that lead to it.

Shape letters: B batch, C channels, H height, W width, E edges of a cell, O operations, L classes.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Generator, Tensor, nn

from trainables.darts.genotype import NODES, Edges, Genotype
from trainables.darts.operations import OPERATIONS, Widths, cell_inputs, conv_norm, sizes_of_cells

EDGES = tuple((node, state) for node in range(NODES) for state in range(node + 2))  # 14
INTO = [[edge for edge, (to, _) in enumerate(EDGES) if to == node] for node in range(NODES)]  # edges into each node
INITIAL = 1e-3  # the deviation of the first weights


class MixedEdge(nn.Module):
    """All operations on a part of the channels; the others pass, pooled where the map is halved."""

    def __init__(self, operations: Sequence[str], width: int, stride: int, partial: int) -> None:
        super().__init__()
        self.part, self.partial, self.stride = width // partial, partial, stride
        self.pool = nn.MaxPool2d(2)
        self.operations = nn.ModuleList()
        for name in operations:
            operation = OPERATIONS[name](self.part, stride, False)
            pooled = nn.Sequential(operation, nn.BatchNorm2d(self.part, affine=False))
            self.operations.append(pooled if "pool" in name else operation)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Return (B, C, H / stride, W / stride) from (B, C, H, W) and the weights of the operations (O,)."""
        seen, passed = x[:, : self.part], x[:, self.part :]
        joined = sum(weight * operation(seen) for weight, operation in zip(weights, self.operations, strict=True))
        assert isinstance(joined, Tensor)
        if self.partial > 1:  # otherwise none pass, as in DARTS
            joined = torch.cat((joined, passed if self.stride == 1 else self.pool(passed)), dim=1)
        rows, channels, height, width = joined.shape
        shuffled = joined.view(rows, self.partial, channels // self.partial, height, width).transpose(1, 2)
        return shuffled.reshape(rows, channels, height, width)


class MixedCell(nn.Module):
    """A cell with an edge from every state to every later node."""

    def __init__(
        self, operations: Sequence[str], widths: Widths, partial: int, *, halves: bool, after_halving: bool
    ) -> None:
        super().__init__()
        self.halves = halves
        self.first, self.second = cell_inputs(widths, after_halving=after_halving, affine=False)
        self.edges = nn.ModuleList(
            MixedEdge(operations, widths[2], 2 if halves and state < 2 else 1, partial) for _, state in EDGES
        )

    def forward(self, before_last: Tensor, last: Tensor, of_operations: Tensor, of_edges: Tensor) -> Tensor:
        """Return (B, 4 x width, H, W) from two maps, the weights of operations (E, O) and those of edges (E,)."""
        states = [self.first(before_last), self.second(last)]
        for here in INTO:
            parts = [of_edges[edge] * self.edges[edge](states[EDGES[edge][1]], of_operations[edge]) for edge in here]
            states.append(torch.stack(parts).sum(dim=0))
        return torch.cat(states[2:], dim=1)


class SuperNet(nn.Module):
    """Cells in a row as in ``DartsNetwork``, of all operations; all cells of a kind share their weights of edges."""

    def __init__(
        self, operations: Sequence[str], channels: int, cells: int, num_classes: int, partial: int, rng: Generator
    ) -> None:
        super().__init__()
        self.names = tuple(operations)
        stem = 3 * channels
        self.stem = nn.Sequential(*conv_norm(3, stem))
        self.cells = nn.ModuleList()
        for widths, halves, after_halving in sizes_of_cells(cells, channels, stem, False):
            self.cells.append(MixedCell(operations, widths, partial, halves=halves, after_halving=after_halving))
        self.head = nn.Linear(NODES * widths[2], num_classes)

        def drawn(*shape: int) -> nn.Parameter:
            return nn.Parameter(INITIAL * torch.randn(*shape, generator=rng))

        # The paper's alpha and beta, of cells that keep the map's size and of those that halve it.
        self.alpha = nn.ParameterList([drawn(len(EDGES), len(operations)) for _ in range(2)])
        self.beta = nn.ParameterList([drawn(len(EDGES)) for _ in range(2)])

    def architecture(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that the search learns."""
        yield from (*self.alpha, *self.beta)

    def weights(self) -> Iterator[nn.Parameter]:
        """Yield the other parameters, which every network learns."""
        apart = {id(parameter) for parameter in self.architecture()}
        yield from (parameter for parameter in self.parameters() if id(parameter) not in apart)

    def of_edges(self, kind: int) -> Tensor:
        """Return the weights of the edges, (E,); those that lead to one node sum to 1."""
        return torch.cat([self.beta[kind][here].softmax(dim=0) for here in INTO])

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (B, L) of normalised images (B, 3, H, W)."""
        mixed = [(self.alpha[kind].softmax(dim=1), self.of_edges(kind)) for kind in range(2)]
        before_last = last = self.stem(images)
        for cell in self.cells:
            before_last, last = last, cell(before_last, last, *mixed[bool(cell.halves)])
        return self.head(last.mean(dim=(2, 3)))

    def genotype(self) -> Genotype:
        """Return the best operation of the two best edges of every node; "none" is never chosen."""
        return Genotype(*(self._edges(kind) for kind in range(2)))

    @torch.no_grad()
    def _edges(self, kind: int) -> Edges:
        strength = self.alpha[kind].softmax(dim=1) * self.of_edges(kind)[:, None]  # (E, O)
        if "none" in self.names:
            strength[:, self.names.index("none")] = -1
        best, which = strength.max(dim=1)
        found: list[tuple[str, int]] = []
        for here in INTO:
            strongest = sorted(here, key=lambda edge: -float(best[edge]))[:2]
            found += [(self.names[int(which[edge])], EDGES[edge][1]) for edge in strongest]
        return tuple(found)
