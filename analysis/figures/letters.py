"""The letters that the font of the figures has."""

from functools import cache
from pathlib import Path

from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.style import context

STYLE = Path(__file__).with_name("style.mplstyle")


def in_letters(text: str) -> str:
    """Return a text in letters that the font of the figures has; one that it lacks, such as a Chinese one, by number.

    All of those would be drawn as the same box.
    """
    known = _letters()
    return "".join(letter if ord(letter) in known or letter.isspace() else f"U+{ord(letter):04X}" for letter in text)


@cache
def _letters() -> frozenset[int]:
    """Return the numbers of the letters that the font of the figures has."""
    with context(STYLE):
        return frozenset(get_font(findfont(FontProperties())).get_charmap())
