"""The result of a start of the command."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """The result of a start of the command.

    Args:
        exit_code: 0 every cell is done; 1 some trial failed, or MLflow lacks something; 130 interrupted.
        tables: data frames as from ``ablation_table``, one per combination of factor levels; empty if there is none.
        verdicts: the verdict on each comparison.
        page: the page about the study.
    """

    exit_code: int
    tables: list[Any] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    page: Path | None = None
