"""The tables of a study as terminal text, Markdown, LaTeX and HTML."""

import html
import re
from collections.abc import Callable, Sequence

import pandas as pd
from tabulate import tabulate

from analysis.statistics.tables import LevelTable
from analysis.words.cells import DASH, cells, columns_of_words, heading, paper_cells, power_cells, remarks
from analysis.words.line_breaks import JOINT, joined, wrapped
from analysis.words.method import ALONE, method_text, power_heading
from analysis.words.page import page
from mixlab.messages import as_printed, terminal_width
from mixlab.spec.trial import digest

WIDTH = 110  # the most characters of a line of text in a terminal
LONG = 12  # rows of a table, above which its head sticks and its rows can be filtered
LONG_TEXT = 40  # characters of a cell, above which it may take several lines
CLASS, HEAD = ' class="{}"', 'th scope="col"'
LAST_OF_LATIN = "ž"  # the last letter that LaTeX sets by itself
NOT_SET = "ÐðÞþ«»ĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲų"  # letters before it that LaTeX does not set
LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {letter: f"${letter}$" for letter in "<>+"}
LATEX |= {letter: f"{{{letter}}}" for letter in "[]"}  # one that follows \\ would be taken for its option
LATEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "|": r"\textbar{}"}
LATEX |= {"±": r"$\pm$", "−": "$-$", "×": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$"}
LATEX |= {DASH: "--", "…": r"\ldots{}", JOINT: "~", "→": r"$\to$"}
GREEK = "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi pi rho sigma tau phi chi psi omega"
LATEX |= {letter: rf"$\{name}$" for letter, name in zip("αβγδεζηθκλμνξπρστφχψω", GREEK.split(), strict=True)}
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # no wider than a line
LOW = r"\resizebox{{!}}{{\ifdim\height>{0}{0}\else\height\fi}}{{%"  # no higher than what the caption leaves
STARRED = r"\ProvideDocumentEnvironment{{{0}*}}{{}}{{\begin{{{0}}}}}{{\end{{{0}}}}}"  # beamer has none over two columns
# The hyphen that is a minus: that of -0.5, of 1e-05, and of an arm "- lam".
MINUS = re.compile(r"(?<![\w-])-(?=\.?\d)|(?<=\de)-(?=\d)|(?<![\w\s-])-(?= )")
OPENING = re.compile(r"(?<![^\s(])'(?=\S)")  # LaTeX closes with a straight quote, wherever it is


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


def markdown(study: str, levels: Sequence[LevelTable]) -> str:
    """Return all tables of a study as Markdown."""
    return f"# {escape_markdown(study)}\n\n{markdown_tables(levels)}\n"


def markdown_tables(levels: Sequence[LevelTable]) -> str:
    """Return the tables as a piece of a page."""
    shared, own = _split_remarks(levels)
    blocks = []
    for level, lines in zip(levels, own, strict=True):
        table = markdown_grid(cells(level))
        blocks += [f"## {escape_markdown(heading(level))}", table, *map(escape_markdown, lines)]
    return "\n\n".join([*blocks, *map(escape_markdown, [*shared, method_text(*levels)])])


def latex(study: str, levels: Sequence[LevelTable]) -> str:
    """Return all tables as LaTeX floats for a document that loads ``booktabs`` and ``graphicx``.

    A table has both columns of a paper. One that is larger than a page is made smaller; it would lose its last columns
    and rows beyond the edge of the paper.
    """
    needs = r"% Needs \usepackage{booktabs,graphicx}. Written by analysis/ablation_table.py; do not edit."
    blocks = [f"{needs}\n{STARRED.format('table')}"]
    labelled = labels([f"{study} {level.name}" for level in levels])
    for level, label in zip(levels, labelled, strict=True):
        shown = cells(level)
        sentences = [heading(level), *remarks(level), method_text(level)]
        caption = " ".join(line if line.endswith(".") else f"{line}." for line in sentences)
        align = "".join("l" if words else "r" for words in columns_of_words(shown))
        rows = [" & ".join(map(_escape_latex, row)) + r" \\" for row in [list(shown.columns), *_data(shown)]]
        lines = [r"\begin{table*}", r"\centering", rf"\caption{{{_escape_latex(caption)}}}", rf"\label{{tab:{label}}}"]
        lines += [r"\smallskip", FITTED, _low(caption)]  # most classes leave no space below a caption
        lines += [rf"\begin{{tabular}}[b]{{{align}}}", r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule"]
        blocks.append("\n".join([*lines, r"\end{tabular}}}", r"\end{table*}"]))
    return "\n\n".join(blocks) + "\n"


def latex_figure(name: str, label: str, caption: str, *, wide: bool = False) -> str:
    """Return ``name.pdf`` as a LaTeX float, ``wide`` as two columns, for a document that loads ``graphicx``."""
    float_ = "figure*" if wide else "figure"
    lines = [r"% Needs \usepackage{graphicx}. Written by Mixlab; do not edit."]
    lines += [STARRED.format("figure")] if wide else []
    lines += [rf"\begin{{{float_}}}", r"\centering", FITTED, _low(caption, wide=wide)]
    lines.append(rf"\includegraphics{{{name}.pdf}}}}}}")
    lines.append(rf"\caption{{{_escape_latex(caption)}}}")
    return "\n".join([*lines, rf"\label{{fig:{label}}}", rf"\end{{{float_}}}", ""])


def _low(caption: str, *, wide: bool = True) -> str:
    """Return the beginning of a box that is no higher than what a caption, of one or two columns, leaves of a page."""
    lines = 3 + len(caption) / (64 if wide else 40)  # of the 40 or more that a page has
    return LOW.format(rf"{min(max(1 - lines / 40, 0.3), 0.75):.2f}\textheight")


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
    rows = [[write(cell) for cell in row] for row in [list(map(str, shown.columns)), *_data(shown)]]
    align = ["left" if words or of_words else "right" for of_words in columns_of_words(shown)]
    # Without disable_numparse an arm called "1e3" would be printed as 1000.
    return str(tabulate(rows[1:], rows[0], form, disable_numparse=True, colalign=align))


def html_grid(shown: pd.DataFrame, wins: Sequence[bool] = (), *, words: bool = False) -> str:
    """Return a table that scrolls where it is too wide or long; ``wins`` are bold, ``words`` aligned to the left."""
    left = [words or of_words for of_words in columns_of_words(shown)]
    head = "".join(_html_cell(str(name), is_left, HEAD) for name, is_left in zip(shown.columns, left, strict=True))
    rows = "\n".join(
        f"<tr{CLASS.format('win') if win else ''}>{''.join(map(_html_cell, row, left))}</tr>"
        for row, win in zip(_data(shown), wins or [False] * len(shown), strict=True)
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


def _data(shown: pd.DataFrame) -> list[list[str]]:
    """Return the cells, each on one line whatever a name holds."""
    return [[_one_line(str(cell)) for cell in row] for row in shown.itertuples(index=False, name=None)]


def paragraph(text: str) -> str:
    """Return text as a paragraph of a page, of which no line ends between a number and what it is of."""
    return f"<p>{html.escape(joined(_one_line(text)))}</p>"


def wrap(line: str) -> str:
    """Return a paragraph in lines that end between words."""
    return "\n".join(wrapped(line, min(WIDTH, terminal_width()), whole_words=True))


def escape_markdown(text: str) -> str:
    """Return text that every renderer shows as it is, on one line; MLflow's shows the backslash of ``\\<``."""
    text = _one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_|$~\[\]])", r"\\\1", text)


def labels(names: Sequence[str]) -> list[str]:
    """Return the names in letters that labels and files may have; those that would be alike have a hash of the name."""
    plain = [re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") for name in names]
    return [
        label if label and plain.count(label) == 1 else f"{label}-{digest(name)[:6]}"
        for label, name in zip(plain, names, strict=True)
    ]


def _escape_latex(text: str) -> str:
    """Return text as LaTeX: minus signs and opening quotes as such, and a letter that pdfTeX lacks as its number."""
    text = OPENING.sub("`", MINUS.sub("−", joined(_one_line(text))))
    return "".join(LATEX.get(letter) or _letter(letter) for letter in text)


def _letter(letter: str) -> str:
    known = letter <= LAST_OF_LATIN and letter.isprintable() and letter not in NOT_SET
    return letter if known else rf"\texttt{{U+{ord(letter):04X}}}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
