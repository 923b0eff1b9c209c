"""Names of arms, tables and classes as the figures show them: short, and no two alike."""

import itertools
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from unicodedata import east_asian_width

from analysis.figures.letters import in_letters
from analysis.words.line_breaks import wrapped


def plain(name: object, letters: int = 30) -> str:
    """Return a name on one line, shortened in its middle, since long names mostly differ at their ends.

    A wide letter, as those of Chinese, counts as two. One that begins with _ is kept from being hidden by a legend.
    """
    return _seen(_shortened(name, letters))


def distinct(names: Iterable[str], letters: int = 30) -> dict[str, str]:
    """Return :func:`plain` of each name, by name; where two would look alike, with what differs, or numbered."""
    shown = {name: _shortened(name, letters) for name in names}
    for short, count in Counter(shown.values()).items():
        if count > 1:
            shown |= _told_apart([name for name in shown if shown[name] == short], short, letters)
    return {name: _seen(text) for name, text in shown.items()}


def _told_apart(names: Sequence[str], short: str, letters: int) -> dict[str, str]:
    """Return different texts, by name, for names that are all shortened to the same: where they differ, or numbers."""
    texts = [in_letters(" ".join(name.split())) for name in names]
    differ = [len(set(column)) > 1 for column in itertools.zip_longest(*texts)]
    alike = differ.index(True) if any(differ) else 0
    head, room = short[: letters // 3].rstrip(), letters - letters // 3 - 2
    parts = [f"{head}…{text[text.rfind(' ', 0, alike) + 1 :][:room]}…" for text in texts]
    if len(set(parts)) < len(parts):
        parts = [f"{short} ({number})" for number in range(1, 1 + len(names))]
    return dict(zip(names, parts, strict=True))


def in_lines(names: Iterable[str], letters: int, most: int = 3) -> dict[str, str]:
    """Return :func:`distinct` of the names in lines of so many letters, by name: at most ``most`` lines, or one more.

    The levels of a table, such as ``mixer = cutmix``, stay on one line where they can.
    """
    found = {}
    for name, text in distinct(names, most * letters).items():
        room = _room(text, letters)
        lines = wrapped(text, room, whole_words=True)
        if any(len(line) > room for line in lines):
            words = textwrap.wrap(text, room, break_long_words=False)
            lines = [line for part in words for line in textwrap.wrap(part, room)]
        found[name] = "\n".join(lines)
    return found


def _shortened(name: object, letters: int) -> str:
    text = in_letters(" ".join(str(name).split()))
    room = _room(text, letters)
    if len(text) > room:
        end = (room - 1) // 2
        text = f"{text[: room - 1 - end].rstrip()}…{text[-end:].lstrip()}"
    return text


def _room(text: str, letters: int) -> int:
    """Return how many letters of a text are as wide as so many narrow ones."""
    wide = sum(east_asian_width(letter) in "WF" for letter in text)
    return letters * len(text) // (len(text) + wide) if text else letters


def _seen(text: str) -> str:
    return f"\N{THIN SPACE}{text}" if text.startswith("_") else text  # a legend leaves out names with a leading _
