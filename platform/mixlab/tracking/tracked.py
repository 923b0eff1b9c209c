"""A study or a search as its runs in MLflow say it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mixlab.provenance import Provenance
from mixlab.tracking import names


@dataclass(frozen=True)
class Tracked:
    """A study or a search as MLflow shows it."""

    name: str  # of the experiment
    identity: str  # of the plan
    plan: Mapping[str, Any]  # what the analysis needs
    levels: tuple[str, str, str]  # the names of the three levels of runs
    cells: Mapping[str, str]  # the arm of each cell, by the cell's name

    def tags(self, level: str, name: str, provenance: Provenance) -> dict[str, str]:
        """Return the tags of a run at ``level`` that is called ``name``."""
        return {names.RUN_NAME: name, names.LEVEL: level, names.STUDY: self.name, **provenance.tags}
