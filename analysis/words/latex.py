"""The tables and figures of a study as LaTeX."""

import re
from collections.abc import Sequence

import pandas as pd

from analysis.statistics.tables import LevelTable
from analysis.words.captions import provenance_text
from analysis.words.cells import DASH, cells, columns_of_words, heading, remarks
from analysis.words.line_breaks import JOINT, joined
from analysis.words.method import method_text
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
        blocks.append(_float(summary, [*how, provenance_text(*tables[0])], label))
    for level, label in zip(levels, labelled, strict=True):
        blocks.append(_float(cells(level), [heading(level), *remarks(level), method_text(level), *how], label))
    return "\n\n".join(blocks) + "\n"


def needs(packages: str) -> str:
    """Return the first line of a file of LaTeX that needs these packages."""
    return rf"% Needs \usepackage{{{packages}}}. Written by Mixlab; do not edit."


def _float(shown: pd.DataFrame, sentences: Sequence[str], label: str) -> str:
    """Return a table of text cells as a float, whose caption the sentences are."""
    caption = " ".join(line if line.endswith(".") else f"{line}." for line in sentences)
    align = "".join("l" if words else "r" for words in columns_of_words(shown))
    rows = [" & ".join(map(_escape_latex, row)) + r" \\" for row in [list(shown.columns), *data_rows(shown)]]
    lines = [r"\begin{table*}", r"\centering", rf"\caption{{{_escape_latex(caption)}}}", rf"\label{{tab:{label}}}"]
    lines += [r"\smallskip", FITTED, _low(caption)]  # most classes leave no space below a caption
    lines += [rf"\begin{{tabular}}[b]{{{align}}}", r"\toprule", rows[0], r"\midrule", *rows[1:], r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}}}", r"\end{table*}"])


def latex_figure(name: str, label: str, caption: str, *, wide: bool = False) -> str:
    """Return ``name.pdf`` as a LaTeX float, ``wide`` as two columns, for a document that loads ``graphicx``."""
    float_ = "figure*" if wide else "figure"
    lines = [needs("graphicx")]
    lines += [STARRED.format("figure")] if wide else []
    lines += [rf"\begin{{{float_}}}", r"\centering", FITTED, _low(caption, wide=wide)]
    lines.append(rf"\includegraphics{{{name}.pdf}}}}}}")
    lines.append(rf"\caption{{{_escape_latex(caption)}}}")
    return "\n".join([*lines, rf"\label{{fig:{label}}}", rf"\end{{{float_}}}", ""])


def _low(caption: str, *, wide: bool = True) -> str:
    """Return the beginning of a box that is no higher than what a caption, of one or two columns, leaves of a page."""
    lines = 3 + len(caption) / (64 if wide else 40)  # of the 40 or more that a page has
    return LOW.format(rf"{min(max(1 - lines / 40, 0.3), 0.75):.2f}\textheight")


def _escape_latex(text: str) -> str:
    """Return text as LaTeX: minus signs and opening quotes as such, and a letter that pdfTeX lacks as its number."""
    text = OPENING.sub("`", MINUS.sub("−", joined(one_line(text))))
    return "".join(LATEX.get(letter) or _letter(letter) for letter in text)


def _letter(letter: str) -> str:
    known = letter <= LAST_OF_LATIN and letter.isprintable() and letter not in NOT_SET
    return letter if known else rf"\texttt{{U+{ord(letter):04X}}}"
