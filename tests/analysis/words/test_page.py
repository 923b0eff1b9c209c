"""The page in a browser: long tables stick, sort and filter; it is dark where the reader wants it, and prints whole."""

import base64
import io

import pandas as pd
import pytest
from PIL import Image

from analysis.words.page import image, page
from analysis.words.rendering import LONG, html_grid
from tests.chromium import chromium, needs_chromium

pytestmark = [pytest.mark.slow, needs_chromium]

ROWS = 40
CELLS = {  # the widest usual table: an arm has a reference of its own
    **{"arm": "raw pass (control)", "n": "6", "mean ± sd": "22.03 ± 1.50", "against": "baseline", "gain": "+1.47"},
    **{"95 % interval": "[+0.74, +2.19]", "p": "0.0312", "p (family)": "0.0312"},
    **{"over baseline": "+1.47 [+0.74, +2.19]", "verdict": "not decided"},
}
WINNER = {  # of a search over six parameters, the widest table of all
    **{"arm": "cutmix · sumix", "sumix.zeta": "0.6944", "mixer.alpha": "0.4717", "lr": "0.05662"},
    **{"weight_decay": "0.0005", "batch_size": "281", "warmup": "4", "val_top1 in the search": "61.69"},
    **{"test_top1_median10 on fresh seeds": "61.16 ± 0.21 (n = 6)"},
    **{"trials": "25 complete, 14 stopped early, 1 failed"},
}
SHOWN = "[...document.querySelectorAll('.long tbody tr:not([hidden])')].map(row => row.cells[0].textContent)"
FILL = """(text => {
  const input = document.querySelector("input");
  input.value = text;
  input.dispatchEvent(new Event("input"));
})"""
# Of the figure and the tables, which the keyboard reaches: those that go on at the right.
FOCUSABLE = "[...document.querySelectorAll('main .wide')].map(frame => frame.tabIndex === 0)"
FIRST = "[...document.querySelectorAll('tbody tr:not([hidden])')].map(row => row.cells[{column}].textContent)"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    gains = ["–", *(f"{(-1) ** number * number / 10:+.2f}" for number in range(1, ROWS))]
    shown = pd.DataFrame({"arm": [f"arm {number}" for number in range(ROWS)], "gain": gains, "p": ["0.0312"] * ROWS})
    short = shown.head(LONG)
    file = tmp_path_factory.mktemp("page") / "page.html"
    grids = [html_grid(shown), html_grid(short, words=True), html_grid(pd.DataFrame([WINNER]))]
    grids.append(html_grid(pd.DataFrame([CELLS]), wins=[True]))
    picture = io.BytesIO()
    Image.new("RGB", (900, 200), "white").save(picture, "png")
    parts = "<h1>study</h1>", image(picture.getvalue(), "a white figure"), *grids
    file.write_text(page("study", "".join(parts)), encoding="utf-8")
    with chromium(390, 800) as opened:
        opened.open(file.as_uri())
        opened.until("document.readyState === 'complete'")
        yield opened


def column(browser, number):
    return browser.evaluate(FIRST.format(column=number))[:ROWS]


def test_a_click_sorts_by_number_and_another_turns_it(browser):
    head = "document.querySelectorAll('thead th')[1]"
    browser.evaluate(f"{head}.click()")
    gains = column(browser, 1)
    assert gains[-1] == "–"  # cells without a number come last
    assert [float(gain) for gain in gains[:-1]] == sorted(float(gain) for gain in gains[:-1])
    assert browser.evaluate(f"{head}.ariaSort") == "ascending"
    browser.evaluate(f"{head}.click()")
    numbers = [float(gain) for gain in column(browser, 1) if gain != "–"]
    assert numbers == sorted(numbers, reverse=True)
    for key, order in {"Enter": "ascending", " ": "descending", "a": "descending"}.items():
        browser.evaluate(f"{head}.dispatchEvent(new KeyboardEvent('keydown', {{key: '{key}'}}))")
        assert browser.evaluate(f"{head}.ariaSort") == order
    browser.evaluate("document.querySelectorAll('thead th')[0].click()")
    assert column(browser, 0) == [f"arm {number}" for number in range(ROWS)]  # 2 before 10


def test_a_filter_is_for_long_tables_alone(browser):
    assert browser.evaluate("document.querySelectorAll('input').length") == 1
    browser.evaluate(f"{FILL}('ARM +3.')")
    assert browser.evaluate(SHOWN) == [f"arm {number}" for number in range(30, ROWS, 2)]
    browser.evaluate(f"{FILL}('')")
    assert len(browser.evaluate(SHOWN)) == ROWS


def test_the_head_stays_and_nothing_is_wider_than_the_telephone(browser):
    top = "document.querySelector('.long thead th').getBoundingClientRect().top"
    before = browser.evaluate(top)
    browser.evaluate("document.querySelector('.long').scrollTop = 300")
    assert browser.evaluate("document.querySelector('.long').scrollTop") == 300
    assert abs(browser.evaluate(top) - before) < 2
    assert browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.evaluate(FOCUSABLE) == [True, False, False, True, True]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_figure_that_goes_on_at_the_right_has_a_shadow_there_until_it_ends(browser, scheme):
    """The background of a figure must not cover it."""
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    figure = "document.querySelector('.figure')"
    left, top, right, bottom = browser.evaluate(
        f"(box => [box.left, box.top, box.right, box.bottom])({figure}.getBoundingClientRect())"
    )

    def at_the_edge():
        held = browser.call("Page.captureScreenshot", format="png")["data"]
        shown = Image.open(io.BytesIO(base64.b64decode(held))).convert("L")
        return shown.getpixel((int(right) - 2, int(top + bottom) // 2)), shown.getpixel((int(left) + 2, int(top) + 2))

    begun = at_the_edge()
    browser.evaluate(f"{figure}.scrollLeft = 10000")
    ended = at_the_edge()
    browser.evaluate(f"{figure}.scrollLeft = 0")
    browser.call("Emulation.setEmulatedMedia", features=[])
    assert begun[0] < 200
    assert (begun[1], *ended) == (255, 255, 255)


def test_a_screen_of_usual_width_shows_the_verdict(browser):
    browser.call("Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=1, mobile=False)
    last = "[...document.querySelectorAll('.wide')].at(-1)"
    hidden = browser.evaluate(f"(table => table.scrollWidth - table.clientWidth)({last})")
    browser.call("Emulation.clearDeviceMetricsOverride")
    assert hidden == 0


def test_it_is_dark_on_request_and_whole_on_paper(browser):
    background = "getComputedStyle(document.body).backgroundColor"
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    dark = browser.evaluate(background)
    browser.call("Emulation.setEmulatedMedia", media="print")
    assert browser.evaluate("getComputedStyle(document.querySelector('.long')).maxHeight") == "none"
    assert browser.evaluate("getComputedStyle(document.querySelector('input')).display") == "none"
    paper = browser.evaluate(background)
    browser.call("Emulation.setDeviceMetricsOverride", width=718, height=1000, deviceScaleFactor=1, mobile=False)  # A4
    widths = browser.evaluate("[...document.querySelectorAll('table')].map(each => each.offsetWidth)")
    highest = browser.evaluate("getComputedStyle(document.querySelector('img')).maxHeight")
    browser.call("Emulation.clearDeviceMetricsOverride")
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    assert (dark, paper) == ("rgb(22, 24, 27)", "rgb(255, 255, 255)")
    assert max(widths) <= 718
    assert highest == "850px"
