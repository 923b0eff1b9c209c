"""The outcome of a search: two cells, each of nodes with two inputs, and an operation on every input."""

import reprlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import Field, TypeAdapter, ValidationError

NODES = 4  # in a cell; node i chooses from the two inputs of the cell and the i nodes before it
Operation = Literal[  # as PC-DARTS names them
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
]
OPERATION_NAMES: tuple[Operation, ...] = get_args(Operation)
Edges = tuple[tuple[str, int], ...]  # two for each node: the operation, and the number of the state it is applied to

_Cell = Annotated[list[tuple[Operation, int]], Field(min_length=2 * NODES, max_length=2 * NODES)]
_CELLS = TypeAdapter(dict[Literal["normal", "reduce"], _Cell])  # as a file holds them


class Genotype(NamedTuple):
    """The cells of a network: most keep the map's size, two halve it."""

    normal: Edges
    reduce: Edges

    @classmethod
    def of(cls, found: Mapping[Any, Sequence[tuple[str, int]]]) -> "Genotype":
        """Return the genotype from the result of ``_asdict``, also when it has been through JSON."""
        return cls(*(tuple((str(name), int(state)) for name, state in found[cell]) for cell in cls._fields))


def read_genotype(file: str) -> Genotype:
    """Return the genotype in a ``genotype.json`` of a search; raise ``ValueError``, one sentence, for another file."""
    try:
        genotype = Genotype.of(_CELLS.validate_json(Path(file).read_bytes()))
    except OSError as error:
        raise ValueError(f"genotype_file {file!r} cannot be read: {error.strerror}") from None
    except (ValidationError, KeyError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": error.args, "msg": "is missing"}
        what = " ".join(map(str, (*first["loc"], first["msg"])))
        got = f", got {reprlib.repr(first['input'])}" if "input" in first else ""
        valid = f"the cells normal and reduce, each of {2 * NODES} pairs of an operation and a state"
        raise ValueError(f"genotype_file {file!r} must hold {valid} ({what}{got})") from None
    for name, edges in genotype._asdict().items():
        for place, (operation, state) in enumerate(edges):
            if operation == "none" or not 0 <= state < place // 2 + 2:
                raise ValueError(
                    f"genotype_file {file!r}, cell {name!r}: edge {place} must be an operation on a state in "
                    f"0..{place // 2 + 1}, before its node, got {operation!r} on {state}"
                )
    return genotype


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
