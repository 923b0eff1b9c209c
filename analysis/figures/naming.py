"""Names of arms, tables and classes as the figures show them: short, on one line, and told apart."""

import itertools
from collections import Counter
from collections.abc import Iterable
from unicodedata import bidirectional, east_asian_width

from analysis.figures.letters import in_letters

LEFT_TO_RIGHT = "\N{LEFT-TO-RIGHT MARK}"


def plain(name: object, letters: int = 30) -> str:
    """Return a name on one line, shortened in its middle, since long ones mostly differ at their ends; never hidden.

    A wide letter, as those of Chinese, counts as two. A name that is read from right to left keeps its place among the
    words and numbers that are written next to it.
    """
    return _in_place(_shortened(name, letters))


def distinct(names: Iterable[str], letters: int = 30) -> dict[str, str]:
    """Return by name what :func:`plain` does; names that would look alike show where they differ, or have numbers."""
    shown = {name: _shortened(name, letters) for name in names}
    for short, count in Counter(shown.values()).items():
        if count > 1:
            twins = {name: in_letters(" ".join(name.split())) for name in shown if shown[name] == short}
            differ = [len(set(column)) > 1 for column in itertools.zip_longest(*twins.values())]
            alike = differ.index(True) if any(differ) else 0
            head, room = short[: letters // 3].rstrip(), letters - letters // 3 - 2
            parts = {name: f"{head}…{text[text.rfind(' ', 0, alike) + 1 :][:room]}…" for name, text in twins.items()}
            if len(set(parts.values())) < count:
                parts = {name: f"{short} ({number})" for number, name in enumerate(twins, 1)}
            shown |= parts
    return {name: _in_place(text) for name, text in shown.items()}


def _shortened(name: object, letters: int) -> str:
    text = in_letters(" ".join(str(name).split()))
    width = sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)
    if width > letters:
        room = letters * len(text) // width
        end = (room - 1) // 2
        text = f"{text[: room - 1 - end].rstrip()}…{text[-end:].lstrip()}"
    return text


def _in_place(text: str) -> str:
    if any(bidirectional(letter) in ("R", "AL") for letter in text):
        return f"{LEFT_TO_RIGHT}{text}{LEFT_TO_RIGHT}"
    return f"\N{THIN SPACE}{text}" if text.startswith("_") else text  # a legend leaves out names with a leading _
