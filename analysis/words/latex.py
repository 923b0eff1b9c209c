"""The tables and figures of a study as LaTeX."""

import re
from collections.abc import Sequence

import pandas as pd

from analysis.statistics.tables import LevelTable
from analysis.words.captions import provenance_text
from analysis.words.cells import DASH, cells, columns_of_words, heading, remarks
from analysis.words.line_breaks import JOINT, joined
from analysis.words.method import columns_text, method
from analysis.words.rendering import data_rows, labels, one_line

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
LEAST, MOST = 0.3, 0.75  # of a page, the height of a table or figure
SMALL = 0.65  # the place that a letter of a note takes, in letters of a caption
STARRED = r"\ProvideDocumentEnvironment{{{0}*}}{{}}{{\begin{{{0}}}}}{{\end{{{0}}}}}"  # beamer has none over two columns
# The hyphen that is a minus: that of -0.5, of 1e-05, and of an arm "- lam".
MINUS = re.compile(r"(?<![\w-])-(?=\.?\d)|(?<=\de)-(?=\d)|(?<![\w\s-])-(?= )")
OPENING = re.compile(r"(?<![^\s(])'(?=\S)")  # LaTeX closes with a straight quote, wherever it is


def latex(
    study: str, *tables: Sequence[LevelTable], how: Sequence[str] = (), summary: pd.DataFrame | None = None
) -> str:
    """Return all tables as LaTeX floats for a document that loads ``booktabs`` and ``graphicx``.

    A table has both columns of a paper. One that is larger than a page is made smaller; it would lose its last columns
    and rows beyond the edge of the paper. Arguments are as for :func:`analysis.words.table_files.write_tables`.
    """
    levels = [level for each in tables for level in each]
    own = [f"{study} {level.metric if level.family.own_metric else ''} {level.name}" for level in levels]
    label, *labelled = labels([f"{study} {levels[0].metric} summary", *own])
    blocks = [f"{needs('booktabs,graphicx')}\n{STARRED.format('table')}"]
    if summary is not None:
        blocks.append(_float(summary, [*how[:1], provenance_text(*tables[0])], how[1:], label))
    for level, label in zip(levels, labelled, strict=True):
        provenance, *more = remarks(level)
        caption = [heading(level), provenance, *method(level)]
        blocks.append(_float(cells(level), caption, [*how, *more, *columns_text(level)], label))
    return "\n\n".join(blocks) + "\n"


def needs(packages: str) -> str:
    """Return the first line of a file of LaTeX that needs these packages."""
    return rf"% Needs \usepackage{{{packages}}}. Written by Mixlab; do not edit."


def _float(shown: pd.DataFrame, caption: Sequence[str], notes: Sequence[str], label: str) -> str:
    """Return a table as a float with notes below it, or behind it if they would leave no room for it on the page."""
    above, below = _sentences(caption), _sentences(notes)
    room = _room(above, below)
    fits = room >= LEAST or not below
    low = _low(room if fits else _room(above))
    align = "".join("l" if words else "r" for words in columns_of_words(shown))
    rows = [" & ".join(map(escape_latex, row)) + r" \\" for row in [list(shown.columns), *data_rows(shown)]]
    lines = [r"\begin{table*}", r"\centering", rf"\caption{{{escape_latex(above)}}}", rf"\label{{tab:{label}}}"]
    lines += [r"\smallskip", FITTED, low]  # most classes leave no space below a caption
    lines += [rf"\begin{{tabular}}[b]{{{align}}}", r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule"]
    written = rf"\footnotesize {escape_latex(below)}\par" if below else ""
    inside = [rf"\par\smallskip\parbox{{\linewidth}}{{{written}}}"] if written and fits else []
    behind = [] if fits else [rf"{{\noindent Table~\ref{{tab:{label}}}: {written}}}"]
    return "\n".join([*lines, r"\end{tabular}}}", *inside, r"\end{table*}", *behind])


def _sentences(lines: Sequence[str]) -> str:
    return " ".join(line if line.endswith(".") else f"{line}." for line in lines)


def latex_figure(name: str, label: str, caption: str, *, wide: bool = False) -> str:
    """Return ``name.pdf`` as a LaTeX float, ``wide`` as two columns, for a document that loads ``graphicx``."""
    float_ = "figure*" if wide else "figure"
    lines = [needs("graphicx")]
    lines += [STARRED.format("figure")] if wide else []
    lines += [rf"\begin{{{float_}}}", r"\centering", FITTED, _low(_room(caption, wide=wide))]
    lines.append(rf"\includegraphics{{{name}.pdf}}}}}}")
    lines.append(rf"\caption{{{escape_latex(caption)}}}")
    return "\n".join([*lines, rf"\label{{fig:{label}}}", rf"\end{{{float_}}}", ""])


def _room(caption: str, notes: str = "", *, wide: bool = True) -> float:
    """Return the share of a page that a caption, of one or two columns, and notes in small letters leave."""
    lines = 3 + (len(caption) + SMALL * len(notes)) / (64 if wide else 40)  # of the 40 or more that a page has
    return 1 - lines / 40


def _low(room: float) -> str:
    """Return the beginning of a box that is no higher than the room for it."""
    return LOW.format(rf"{min(max(room, LEAST), MOST):.2f}\textheight")


def escape_latex(text: str) -> str:
    """Return text as LaTeX: minus signs and opening quotes as such, and a letter that pdfTeX lacks as its number."""
    text = OPENING.sub("`", MINUS.sub("−", joined(one_line(text))))
    return "".join(LATEX.get(letter) or _letter(letter) for letter in text)


def _letter(letter: str) -> str:
    known = letter <= LAST_OF_LATIN and letter.isprintable() and letter not in NOT_SET
    return letter if known else rf"\texttt{{U+{ord(letter):04X}}}"
