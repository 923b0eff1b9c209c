"""What a start of the command came to."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Result:
    """What a start of the command came to.

    Args:
        exit_code: 0 every cell is done; 1 some trial failed, or MLflow lacks something; 130 interrupted.
        tables: data frames as of ``ablation_table``, one a combination of factor levels; empty where there is none.
        verdicts: what is said of each comparison.
        page: the page about the study.
    """

    exit_code: int
    tables: list[Any] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    page: Path | None = None
