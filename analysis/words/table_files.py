"""The tables of a study, or of an evaluation of its networks, as files."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis.statistics.tables import LevelTable
from analysis.words.cells import tidy
from analysis.words.latex import latex
from analysis.words.rendering import markdown


def write_tables(
    study: str,
    stem: Path,
    *tables: Sequence[LevelTable],
    how: Sequence[str] = (),
    summary: pd.DataFrame | None = None,
) -> list[Path]:
    """Write the tables of each metric as ``stem.md``, ``.csv`` and ``.tex``; return the files.

    Args:
        study: the name of the study.
        stem: the path of the files without an ending.
        tables: those of each metric.
        how: how the networks were evaluated, in sentences or paragraphs.
        summary: a table of all metrics together, as text cells, which comes first.
    """
    texts = {
        "md": markdown(study, *tables, how=how, summary=summary),
        "csv": pd.concat(map(tidy, tables)).to_csv(index=False),
        "tex": latex(study, *tables, how=how, summary=summary),
    }
    for ending, text in texts.items():
        stem.with_suffix(f".{ending}").write_text(text, encoding="utf-8")
    return [stem.with_suffix(f".{ending}") for ending in texts]
