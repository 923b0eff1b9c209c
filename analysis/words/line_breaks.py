"""Lines of text that part no number from what it is of, such as ``95 %``, ``n = 6``, ``20 epochs`` or ``seed 0``."""

import re
import textwrap

JOINT = "\N{NO-BREAK SPACE}"
WITHIN = re.compile(
    r"(?<=\d) (?=[a-z%])|(?<=[=<±]) | (?=[=<±] )|(?:(?<=seed)|(?<=seeds)|(?<=commit)|(?<=data)) (?=\w*\d)"
)


def joined(text: str) -> str:
    """Return a text with ``JOINT`` for every space at which no line may end."""
    return WITHIN.sub(JOINT, text)


def wrapped(text: str, letters: int, *, whole_words: bool = False) -> list[str]:
    """Return the lines of a text, of at most so many letters; ``whole_words`` that are longer make longer lines."""
    lines = textwrap.wrap(joined(text), letters, break_long_words=not whole_words, break_on_hyphens=False)
    return [line.replace(JOINT, " ") for line in lines]
