"""Figures with a title and a caption, and their files.

The PNG has both. A paper sets them itself, so the PDF has neither, and the caption is beside it as LaTeX. A figure is
as wide as it is printed: as a column of a paper, or as two.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure, SubFigure
from matplotlib.style import context
from matplotlib.transforms import Bbox

from analysis.figures.letters import in_letters, style
from analysis.figures.naming import plain
from analysis.words.latex import latex_figure
from analysis.words.line_breaks import wrapped
from analysis.words.rendering import labels

COLUMN, TEXT = 3.25, 6.75  # inches, the width of a column of a paper and that of two
LETTER, LINE = 0.062, 0.16  # inches, the width of a letter and the height of a line of a caption or a legend
EDGE = 0.02  # inches, the white above and below a printed figure
BOLD = 0.09  # inches, the width of a letter of a title
WORDS = "words"  # what the title and the caption are called in a figure


@contextmanager
def titled(title: str, caption: str, size: tuple[float, float]) -> Iterator[tuple[Figure, SubFigure]]:
    """Yield a figure in the common style, and its part above the caption, which has the title and a size in inches."""
    width, height = size
    with context(style()):
        below = caption_lines(caption, width)
        foot = LINE * len(below) + 0.1
        figure = Figure(figsize=(width, height + foot), layout="constrained")
        upper, lower = np.ravel(figure.subfigures(2, 1, height_ratios=[height, foot], squeeze=False))
        figure.set_label(caption)
        lower.text(0.01, 0.98, "\n".join(below), fontsize=7.5, color="#444444", va="top", linespacing=1.35)
        lower.set_gid(WORDS)
        if title:
            lines = wrapped(plain(title, 80), int(width / BOLD))
            upper.suptitle("\n".join(lines), x=0.01, ha="left", fontweight="bold", gid=WORDS)
        yield figure, upper


def caption_lines(caption: str, width: float) -> list[str]:
    """Return the lines of a caption below a figure of a width in inches."""
    return wrapped(in_letters(caption), int(width / LETTER))


def save(figure: Figure, stem: Path, picture: bytes | None = None) -> list[Path]:
    """Write a figure as ``stem.png``, ``.pdf`` and ``.tex``; return the files.

    Its label in LaTeX has its title and its folder too: a document may have the curves of two studies or commands.
    A PDF whose picture has not changed is kept: to embed its fonts takes longer than all else of a study's page. A
    ``picture``, the content of the PNG file, is not drawn again.
    """
    stem.parent.mkdir(parents=True, exist_ok=True)
    shown, printed, text = (stem.with_name(stem.name + ending) for ending in (".png", ".pdf", ".tex"))
    with context(style()):  # the fonts of a PDF are chosen when it is written
        if picture is None:
            buffer = io.BytesIO()
            figure.savefig(buffer, format="png")
            picture = buffer.getvalue()
        if not (printed.exists() and shown.exists() and shown.read_bytes() == picture):
            figure.set_layout_engine(None)  # laid out once, which takes longest and is the same in both files
            _print(figure, printed)
            shown.write_bytes(picture)
    wide = figure.get_figwidth() > COLUMN
    titles = [part.get_suptitle() for part in figure.subfigs]
    (label,) = labels([" ".join([*titles, stem.parent.name, stem.name])])
    text.write_text(latex_figure(stem.name, label, str(figure.get_label()), wide=wide), encoding="utf-8")
    return [shown, printed, text]


def _print(figure: Figure, file: Path) -> None:
    """Write a figure without its words, in its whole width and as high as what is left."""
    words = figure.findobj(lambda part: part.get_gid() == WORDS)
    for word in words:
        word.set_visible(False)
    left = figure.get_tightbbox()  # inches
    figure.savefig(file, bbox_inches=Bbox.from_extents(0, left.y0 - EDGE, figure.get_figwidth(), left.y1 + EDGE))
    for word in words:
        word.set_visible(True)


def save_with_points(figure: Figure, points: pd.DataFrame, stem: Path) -> list[Path]:
    """Write a figure as ``save`` does, and the points in it as ``stem.csv``; return the files."""
    pictures, table = save(figure, stem), stem.with_name(f"{stem.name}.csv")
    points.to_csv(table, index=False)
    return [*pictures, table]
