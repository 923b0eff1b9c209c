"""The tables and figures of a study as LaTeX: whole, escaped, and compiled."""

import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from matplotlib.figure import Figure

from analysis.words.cells import cells, remarks
from analysis.words.latex import escape_latex, latex, latex_figure
from analysis.words.method import columns_text, method
from tests.analysis.planned import tables_of
from tests.analysis.test_any_name import HARD
from tests.analysis.words.test_rendering import AWKWARD, study


@pytest.mark.parametrize("letters", [20, 2000])
def test_latex_says_all_in_a_short_caption_and_in_notes_below_or_behind_the_table(letters):
    rest = {"controls": ["+ l_s"], "against": {"+ l_s": "+ lam"}, "sequential": {"budget": 20}, "delta": 5.0}
    (level,) = tables_of(lambda arm, seed: 70.0 + seed + (arm == "+ lam") * seed % 2, seeds=9, **rest)
    how = "Evaluated. " + "x" * letters
    text = latex("tiny", [level], how=[how])
    for said in (*remarks(level), *method(level), *columns_text(level), how):
        assert escape_latex(said) in text
    caption, notes = re.findall(r"\\caption{(.*)}\n|\\footnotesize (.*)\\par", text)
    assert len(caption[0]) < 700
    assert "Evaluated" in notes[1]
    assert text.index("footnotesize") > text.index(r"\end{tabular}")
    assert (text.index("footnotesize") < text.index(r"\end{table*}")) == (letters < 2000)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex on the PATH")
def test_latex_compiles_it(tmp_path, printed):
    many = "baseline", "+ lam", *(f"+ {number}" for number in range(58))
    how = [*(f"Sentence {number} of how the networks were evaluated." for number in range(80))]
    (tmp_path / "evaluated.tex").write_text(latex("new", study(), study(), how=how, summary=cells(study()[0])))
    for name, arms in ("usual", many), ("awkward", (AWKWARD, "α ≥ 0.5 – naïve", *HARD)):
        found = study(arms, ((("cutmix", arms[0]), 78.17),))
        levels = [replace(level, extra=("test_top1_last", "test_top1_best")) for level in found]
        (tmp_path / f"{name}.tex").write_text(latex(name, levels))
    Figure(figsize=(6.75, 13)).savefig(tmp_path / "gains.pdf")  # as of twenty arms with long names
    (tmp_path / "gains.tex").write_text(latex_figure("gains", "tiny-gains", f"{AWKWARD}: n = 6, p < 0.05.", wide=True))
    packages = r"\documentclass{article}\usepackage{booktabs,graphicx}"
    starred = "table*", "endtable*", "figure*", "endfigure*"
    as_beamer = "".join(rf"\expandafter\let\csname {name}\endcsname\relax" for name in starred)
    inputs = rf"\input{{evaluated}}\input{{usual}}\input{{gains}}{as_beamer}\input{{gains}}\input{{awkward}}"
    document = rf"{packages}\begin{{document}}{inputs}\end{{document}}"
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", document]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout
    assert "Overfull" not in found.stdout.partition("awkward.tex")[0]
    assert "Float too large" not in found.stdout.partition("awkward.tex")[0]
    assert len(list(tmp_path.glob("*.pdf"))) == 2


def test_latex_is_balanced_and_escaped():
    text = latex("a_study", study(("plain", AWKWARD, "c")))
    assert text.count(r"\begin{table*}") == text.count(r"\end{table*}") == 2
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 2
    assert r"$<$b$>$100\% \& a\_b \textbar{} \$\{x\}\textasciicircum{}2\textasciitilde{}\textbackslash{}c\#" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert [row.replace(r"\&", "").count("&") for row in rows] == [7] * 2 * (1 + 3)  # the head, and a row an arm
    assert r"\label{tab:a-study-mixer-cutmix}" in text
    assert r"\caption{Demšar: $\epsilon$ $\to$ 0, \texttt{U+4E2D}}" in latex_figure(
        "ranks", "ranks", "Demšar: ε → 0, 中"
    )


def test_latex_writes_a_minus_where_a_number_is_negative_and_opens_quotes():
    arms = ("baseline", "- lam", "CIFAR-10", "CutMix - tuned")
    levels = tables_of(
        lambda arm, seed: 70.0 - seed - (0.95 + seed / 10) * arms.index(arm), arms, 2, {"shift": ("-1", "1e-05")}
    )
    first, second = latex("tiny", levels).split(r"\end{table*}")[:2]
    assert r"$-$ lam & 2 & 68.50~$\pm$~0.78 & $-$1.00 & {[}$-$1.64, $-$0.36{]}" in first
    assert "shift~=~$-$1: top-1" in first
    assert "shift~=~1e$-$05: top-1" in second
    assert "CIFAR-10 & 2" in first
    assert "CutMix - tuned & 2" in first
    assert not re.search(r"(?<![\w-])-\d", first)
    assert "Gain: arm minus `baseline', paired by seed" in first  # an opening quote, not two that close


def test_latex_gives_every_table_a_label_of_its_own():
    def labels(*levels):
        tables = tables_of(lambda *_: 70.0, ("baseline", "+ lam"), 1, {"shift": levels})
        return re.findall(r"\\label{(.*)}", latex("tiny", tables))

    found = labels("1", "-1", "a", "A", "α", "2")
    assert len(set(found)) == 6
    assert found[5] == "tab:tiny-shift-2"
    assert labels("-1", "1") == [found[1], found[0]]  # whatever the order
