"""Table and page are made again from MLflow alone, in a fresh process; the page fits two screens."""

import html
import json
import re
import shutil
import subprocess
import sys

import pytest

from analysis import ablation_table, report
from tests.analysis.planned import make_plan
from tests.chromium import needs_chromium

pytestmark = pytest.mark.slow

WIDTHS = (1366, 390)  # pixels: a laptop, a telephone
MEASURE = """<script>addEventListener("load", () => parent.postMessage({
  wide: document.documentElement.scrollWidth, screen: innerWidth,
  pictures: [...document.images].map(i => i.complete && i.naturalWidth > 0),
  smallest: Math.min(...[...document.querySelectorAll("p, li, td, th")].map(
    e => parseFloat(getComputedStyle(e).fontSize))),
  outside: [...document.querySelectorAll("p, li, h1, h2, h3")].filter(
    e => e.getBoundingClientRect().right > innerWidth).length}, "*"))</script>"""
FRAMES = """<!doctype html><pre></pre><script>let found = {};
addEventListener("message", event => {
  for (const frame of document.querySelectorAll("iframe"))
    if (frame.contentWindow === event.source) found[frame.width] = event.data;
  document.querySelector("pre").textContent = JSON.stringify(found)})</script>"""


AGAIN = """
import sys
from analysis import ablation_table, report

where = [sys.argv[1], "--tracking-uri", sys.argv[2]]
sys.exit(ablation_table.main([*where, "--out", "again"]) or report.main([*where, "--out", "again/report.html"]))
"""


def test_a_fresh_process_without_the_results_makes_the_same_files(printed, track, tmp_path):
    study, results, elsewhere = track(), tmp_path / "results", tmp_path / "elsewhere"
    study.add_all(make_plan(seeds=2), lambda trial: 70.0 + trial["seed"], curve=(10.0, 20.0))
    assert study.call(ablation_table, "--out", str(results)) == 0
    assert study.call(report, "--out", str(results / "report.html")) == 0
    shutil.move(results, tmp_path / "moved")
    elsewhere.mkdir()
    command = [sys.executable, "-c", AGAIN, study.study, study.uri]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("table.md", "table.csv", "table.tex", "table.html", "report.html"):
        assert (elsewhere / "again" / name).read_bytes() == (tmp_path / "moved" / name).read_bytes(), name


@needs_chromium
def test_the_page_fits_a_laptop_and_a_telephone(painted, track, tmp_path):
    study = track()
    plan = make_plan(seeds=2, factors={"mixer": ("cutmix", "a_mixer_with_a_very_long_name_indeed")})
    study.add_all(plan, lambda _: 70.0, lambda _: {"sumix.lam": "learned"}, curve=(10.0, 20.0))
    bins = {"epochs": [1, 2], "lam_drawn": [[0.1] * 10] * 2, "lam_learned": [[0.1] * 10] * 2}
    (tmp_path / "histograms.json").write_text(json.dumps(bins))
    study.add_file(tmp_path / "histograms.json")
    page = report.write_report(study.uri, study.study, tmp_path / "report.html", plan)[0].read_text(encoding="utf-8")
    measured = html.escape(page.replace("</body>", MEASURE + "</body>"), quote=True)
    frames = "".join(f'<iframe width="{width}" height="800" srcdoc="{measured}"></iframe>' for width in WIDTHS)
    file = tmp_path / "frames.html"
    file.write_text(FRAMES + frames, encoding="utf-8")
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=10000", "--dump-dom", file.as_uri()]
    shown = subprocess.run(command, capture_output=True, text=True).stdout
    found = json.loads(html.unescape(re.search("<pre>(.*?)</pre>", shown).group(1)))
    assert set(found) == set(map(str, WIDTHS))
    for width, seen in found.items():
        assert seen["wide"] <= seen["screen"], width  # a table that is too wide scrolls by itself
        assert seen["outside"] == 0
        assert seen["pictures"] == [True] * 4  # gains, forest, curves, lambda
        assert seen["smallest"] >= 14
