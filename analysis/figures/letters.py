"""The letters that the fonts of the figures have, and the style that draws them.

The font of the style lacks some scripts, of which Chinese, Japanese and Korean are the most common. Where a font that
has them is installed, its letters are drawn from it.
"""

import logging
from functools import cache
from pathlib import Path
from typing import Any

from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font

STYLE = Path(__file__).with_name("style.mplstyle")
USUAL = "DejaVu Sans"  # it comes with matplotlib, so that the figures look alike everywhere
OTHERS = (  # the first of them that has a letter draws it
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Noto Sans JP", "Noto Sans KR", "Source Han Sans SC"),
    *("WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "Droid Sans Fallback", "IPAGothic", "NanumGothic"),
    *("Noto Sans Devanagari", "Noto Sans Bengali", "Noto Sans Tamil", "Noto Sans Thai", "FreeSans", "Noto Emoji"),
)


def style() -> list[str | Path | dict[str, Any]]:
    """Return the style of the figures, as ``matplotlib.style.context`` takes it."""
    return [STYLE, {"font.family": list(families())}]


@cache
def families() -> tuple[str, ...]:
    """Return the fonts of the figures that are installed: a letter is drawn from the first that has it."""
    # Most of them have no bold letters, which matplotlib says at every title.
    logging.getLogger("matplotlib.font_manager").addFilter(lambda said: "find font weight" not in str(said.msg))
    installed = set(fontManager.get_font_names())
    return (USUAL, *(name for name in OTHERS if name in installed))


def in_letters(text: str) -> str:
    """Return a text in letters that the fonts have; others by their numbers, as all would be drawn as the same box."""
    known = known_letters()
    return "".join(letter if ord(letter) in known or letter.isspace() else f"U+{ord(letter):04X}" for letter in text)


@cache
def known_letters() -> frozenset[int]:
    """Return the numbers of the letters that the fonts of the figures have."""
    files = [findfont(FontProperties(family=[name])) for name in families()]
    return frozenset().union(*(get_font(file).get_charmap() for file in files))
