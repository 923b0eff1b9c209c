"""The tables of a study as terminal text, Markdown and HTML."""

import html
import re
from collections.abc import Callable, Sequence

import pandas as pd
from tabulate import tabulate

from analysis.statistics.tables import LevelTable
from analysis.words.cells import cells, columns_of_words, heading, paper_cells, power_cells, remarks
from analysis.words.line_breaks import joined, wrapped
from analysis.words.method import ALONE, method_text, power_heading
from analysis.words.page import page
from mixlab.messages import as_printed, terminal_width
from mixlab.spec.trial import digest

WIDTH = 110  # the most characters of a line of text in a terminal
LONG = 12  # rows of a table, above which its head sticks and its rows can be filtered
LONG_TEXT = 40  # characters of a cell, above which it may take several lines
CLASS, HEAD = ' class="{}"', 'th scope="col"'


def terminal_text(study: str, levels: Sequence[LevelTable], *, power: bool = False, wide: bool = False) -> str:
    """Return all tables of a study for a terminal; a remark that every table shares is printed once, at the end.

    Args:
        power: also say how many seeds would show each difference.
        wide: begin with the means alone, one row per combination of factor levels and one column per arm.
    """
    means = [grid(paper_cells(levels))] if wide else []
    return "\n\n".join([study, *means, terminal_tables(levels, power=power)]) + "\n"


def terminal_tables(levels: Sequence[LevelTable], *, power: bool = False) -> str:
    """Return the tables as a piece of a text."""
    shared, own = _split_remarks(levels)
    blocks = []
    for level, lines in zip(levels, own, strict=True):
        table = grid(cells(level))
        blocks.append("\n".join([wrap(heading(level)), "", table, *([""] if lines else []), *map(wrap, lines)]))
        if power:
            plan = f"{wrap(power_heading(level))}\n\n{grid(power_cells(level))}"
            blocks.append(plan if len(level.table) > 1 else ALONE)
    blocks.append("\n".join(wrap(line) for line in [*shared, method_text(*levels)]))
    return "\n\n".join(blocks)


def markdown(
    study: str, *tables: Sequence[LevelTable], how: Sequence[str] = (), summary: pd.DataFrame | None = None
) -> str:
    """Return all tables as Markdown; arguments as for :func:`analysis.words.table_files.write_tables`."""
    first = [] if summary is None else [markdown_grid(summary)]
    parts = [f"# {escape_markdown(study)}", *first, *map(escape_markdown, how), *map(markdown_tables, tables)]
    return "\n\n".join(parts) + "\n"


def markdown_tables(levels: Sequence[LevelTable]) -> str:
    """Return the tables as a piece of a page."""
    shared, own = _split_remarks(levels)
    blocks = []
    for level, lines in zip(levels, own, strict=True):
        table = markdown_grid(cells(level))
        blocks += [f"## {escape_markdown(heading(level))}", table, *map(escape_markdown, lines)]
    return "\n\n".join([*blocks, *map(escape_markdown, [*shared, method_text(*levels)])])


def html_page(study: str, levels: Sequence[LevelTable]) -> str:
    """Return all tables of a study as one self-contained page."""
    title = html.escape(study)
    return page(title, f"<h1>{title}</h1>\n{html_tables(levels, 'h2')}")


def html_tables(levels: Sequence[LevelTable], head: str = "h3") -> str:
    """Return the tables as a piece of a page, each below a heading with the tag ``head``."""
    shared, own = _split_remarks(levels)
    parts = []
    for level, lines in zip(levels, own, strict=True):
        table = html_grid(cells(level), wins=list(level.table["win"]))
        parts += [f"<{head}>{html.escape(heading(level))}</{head}>", table, *map(paragraph, lines)]
    return "\n".join([*parts, *map(paragraph, [*shared, method_text(*levels)])])


def grid(shown: pd.DataFrame, *, words: bool = False) -> str:
    """Return a table for a terminal; ``words`` are aligned to the left.

    One that is wider than the terminal becomes several, one below the other, which all have the first column.
    """
    parts: list[str] = []
    begin, columns = 1, len(shown.columns)
    while not parts or begin < columns:
        for end in range(columns, begin - 1, -1):
            part = _grid(shown.iloc[:, [0, *range(begin, end)]], "simple", as_printed, words=words)
            if end <= begin + 1 or max(map(len, part.splitlines())) <= terminal_width():
                break
        parts.append(part)
        begin = end
    return "\n\n".join(parts)


def markdown_grid(shown: pd.DataFrame) -> str:
    """Return a table as Markdown."""
    return _grid(shown, "pipe", escape_markdown)


def _grid(shown: pd.DataFrame, form: str, write: Callable[[str], str] = str, *, words: bool = False) -> str:
    rows = [[write(cell) for cell in row] for row in [list(map(str, shown.columns)), *data_rows(shown)]]
    align = ["left" if words or of_words else "right" for of_words in columns_of_words(shown)]
    # Without disable_numparse an arm called "1e3" would be printed as 1000.
    return str(tabulate(rows[1:], rows[0], form, disable_numparse=True, colalign=align))


def html_grid(shown: pd.DataFrame, wins: Sequence[bool] = (), *, words: bool = False) -> str:
    """Return a table that scrolls where it is too wide or long; ``wins`` are bold, ``words`` aligned to the left."""
    left = [words or of_words for of_words in columns_of_words(shown)]
    head = "".join(_html_cell(str(name), is_left, HEAD) for name, is_left in zip(shown.columns, left, strict=True))
    rows = "\n".join(
        f"<tr{CLASS.format('win') if win else ''}>{''.join(map(_html_cell, row, left))}</tr>"
        for row, win in zip(data_rows(shown), wins or [False] * len(shown), strict=True)
    )
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>\n</table>"
    return f'<div class="{"wide long" if len(shown) > LONG else "wide"}">{table}</div>'


def _html_cell(text: str, left: bool, tag: str = "td") -> str:
    """Return a cell, which is one line unless it is long: it would then push all others out of sight."""
    kinds = " ".join(kind for kind, wanted in (("text", left), ("long-text", len(text) > LONG_TEXT)) if wanted)
    return f"<{tag}{CLASS.format(kinds) if kinds else ''}>{html.escape(text)}</{tag[:2]}>"


def html_list(sentences: Sequence[str]) -> str:
    """Return sentences as the items of a list; empty if there is none."""
    items = "\n".join(f"<li>{html.escape(joined(sentence))}</li>" for sentence in sentences)
    return f"<ul>\n{items}\n</ul>" if items else ""


def _split_remarks(levels: Sequence[LevelTable]) -> tuple[list[str], list[list[str]]]:
    """Return the remarks that all tables share, and those of each alone."""
    every = [remarks(level) for level in levels]
    shared = [line for line in every[0] if all(line in lines for lines in every)]
    return shared, [[line for line in lines if line not in shared] for lines in every]


def data_rows(shown: pd.DataFrame) -> list[list[str]]:
    """Return the cells, each on one line whatever a name holds."""
    return [[one_line(str(cell)) for cell in row] for row in shown.itertuples(index=False, name=None)]


def paragraph(text: str) -> str:
    """Return text as a paragraph of a page, of which no line ends between a number and what it is of."""
    return f"<p>{html.escape(joined(one_line(text)))}</p>"


def wrap(line: str) -> str:
    """Return a paragraph in lines that end between words."""
    return "\n".join(wrapped(line, min(WIDTH, terminal_width()), whole_words=True))


def escape_markdown(text: str) -> str:
    """Return text that every renderer shows as it is, on one line; MLflow's shows the backslash of ``\\<``."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|$~\[\]])", r"\\\1", text)


def labels(names: Sequence[str]) -> list[str]:
    """Return the names in letters that labels and files may have; those that would be alike have a hash of the name."""
    plain = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names]
    return [
        label if label and plain.count(label) == 1 else f"{label}-{digest(name)[:6]}"
        for label, name in zip(plain, names, strict=True)
    ]


def one_line(text: str) -> str:
    """Return text without the ends of its lines."""
    return " ".join(text.split())
