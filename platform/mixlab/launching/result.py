"""The result of a start of the command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixlab.spec import json_form


@dataclass(frozen=True)
class Result:
    """The result of a start of the command.

    Args:
        exit_code: 0 every cell is done; 1 some trial failed, or MLflow lacks something; 130 interrupted.
        tables: data frames as from ``ablation_table``, one per combination of factor levels; empty if there is none.
        verdicts: the verdict on each comparison.
        page: the page about the study.
        plan: the plan of the study; of a search, of its confirmation.
        files: the tables and figures.
        failures: by the name of each trial that failed now, the last line of its error.
        outlook: of a dry run, sentences on what the plan can conclude.
    """

    exit_code: int
    # Without what has been printed, and what takes pages, as where a cell of a notebook ends with the result.
    tables: list[Any] = field(default_factory=list, repr=False)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    page: Path | None = None
    plan: Mapping[str, Any] = field(default_factory=dict, repr=False)
    files: list[Path] = field(default_factory=list, repr=False)
    failures: Mapping[str, str] = field(default_factory=dict)
    outlook: list[str] = field(default_factory=list, repr=False)

    def json(self) -> str:
        """Return all of it but the tables as one JSON object, whose paths are below ``paths``."""
        paths = {"page": str(self.page) if self.page else None, "files": [str(file) for file in self.files]}
        shown = ("exit_code", "plan", "outlook", "verdicts", "failures")
        return json_form.dumps({**{name: getattr(self, name) for name in shown}, "paths": paths}, indent=2)
