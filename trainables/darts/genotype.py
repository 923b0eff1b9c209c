"""The outcome of a search: two cells, each of nodes with two inputs, and an operation on every input."""

from typing import NamedTuple

NODES = 4  # of a cell; node i has the two inputs of the cell and the i nodes before it to choose from
Edges = tuple[tuple[str, int], ...]  # two an node: the operation, and the number of the state that it is applied to


class Genotype(NamedTuple):
    """The cells of a network: most keep the map's size, two halve it."""

    normal: Edges
    reduce: Edges

    def json(self) -> dict[str, list[list[str | int]]]:
        """Return the cells as JSON can hold them."""
        return {name: [list(edge) for edge in edges] for name, edges in self._asdict().items()}

    @classmethod
    def of(cls, found: dict[str, list[tuple[str, int]]]) -> "Genotype":
        """Return the genotype of what ``json`` returned."""
        return cls(*(tuple((str(name), int(state)) for name, state in found[cell]) for cell in cls._fields))


# The cells that the paper found on CIFAR-10, as its code prints them.
PC_DARTS_CIFAR = Genotype(
    normal=(
        *(("sep_conv_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 0), ("dil_conv_3x3", 1)),
        *(("sep_conv_5x5", 0), ("sep_conv_3x3", 1), ("avg_pool_3x3", 0), ("dil_conv_3x3", 1)),
    ),
    reduce=(
        *(("sep_conv_5x5", 1), ("max_pool_3x3", 0), ("sep_conv_5x5", 1), ("sep_conv_5x5", 2)),
        *(("sep_conv_3x3", 0), ("sep_conv_3x3", 3), ("sep_conv_3x3", 1), ("sep_conv_3x3", 2)),
    ),
)
# Those that it found on ImageNet.
PC_DARTS_IMAGENET = Genotype(
    normal=(
        *(("skip_connect", 1), ("sep_conv_3x3", 0), ("sep_conv_3x3", 0), ("skip_connect", 1)),
        *(("sep_conv_3x3", 1), ("sep_conv_3x3", 3), ("sep_conv_3x3", 1), ("dil_conv_5x5", 4)),
    ),
    reduce=(
        *(("sep_conv_3x3", 0), ("skip_connect", 1), ("dil_conv_5x5", 2), ("max_pool_3x3", 1)),
        *(("sep_conv_3x3", 2), ("sep_conv_3x3", 1), ("sep_conv_5x5", 0), ("sep_conv_3x3", 3)),
    ),
)
