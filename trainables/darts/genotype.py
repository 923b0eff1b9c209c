"""The outcome of a search: two cells, each of nodes with two inputs, and an operation on every input."""

import json
from pathlib import Path
from typing import NamedTuple

NODES = 4  # of a cell; node i has the two inputs of the cell and the i nodes before it to choose from
Edges = tuple[tuple[str, int], ...]  # two for each node: the operation, and the number of the state it is applied to
OPERATION_NAMES = (  # as PC-DARTS names them
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


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


def read_genotype(file: str) -> Genotype:
    """Return the genotype in a ``genotype.json`` of a search; raise ``ValueError``, one sentence, for another file."""
    try:
        found = json.loads(Path(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"genotype_file {file!r} cannot be read: {reason}") from None
    try:
        genotype = Genotype.of(found)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(
            f"genotype_file {file!r} must hold the cells normal and reduce, each a list of [operation, state]"
        ) from None
    for name, edges in genotype._asdict().items():
        _check_cell(f"genotype_file {file!r}, cell {name!r}", edges)
    return genotype


def _check_cell(where: str, edges: Edges) -> None:
    if len(edges) != 2 * NODES:
        raise ValueError(f"{where}: it must have {2 * NODES} edges, two for each of {NODES} nodes, got {len(edges)}")
    for place, (operation, state) in enumerate(edges):
        if operation not in OPERATION_NAMES[1:]:
            raise ValueError(
                f"{where}: the operation of edge {place} must be one of {', '.join(OPERATION_NAMES[1:])}, "
                f"got {operation!r}"
            )
        if not 0 <= state < place // 2 + 2:
            raise ValueError(
                f"{where}: edge {place} must come from a state in 0..{place // 2 + 1}, before its node, got {state}"
            )


# The cells that PC-DARTS found, as its code prints them: on CIFAR-10, and on ImageNet.
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
PUBLISHED: dict[str, Genotype] = {"pc_darts_cifar10": PC_DARTS_CIFAR, "pc_darts_imagenet": PC_DARTS_IMAGENET}
