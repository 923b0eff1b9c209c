"""Prints the sentences of a command wherever they go, and counts things in them."""

import codecs
import errno
import os
import sys
import textwrap
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import IO, Any

from rich.console import Console

STOPPED = "Stopped; give the same command again to go on"
OTHERS = "mixlab.others"  # the name by which a stream finds ``_in_other_letters``
OTHER_LETTERS = {
    **{"✓": "+", "✂": "/", "✗": "x", "·": ".", "–": "-", "−": "-", "…": "...", "\N{NO-BREAK SPACE}": " "},
    **{"±": "+/-", "×": "x", "≤": "<=", "≥": ">=", "→": "->"},
}


def say(console: Console, text: str, *, style: str | None = None, whole: bool = False) -> None:
    """Print a text, in which no name is taken for a style, in lines that a terminal does not break within a word.

    With ``whole``, only the terminal breaks a line, so that a command in it can be copied.
    """
    text = text if whole else "\n".join(in_lines(line, terminal_width(console.file)) for line in text.split("\n"))
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def in_lines(text: str, letters: int) -> str:
    """Return one line as lines of at most so many letters, which end between words, if no word is longer."""
    if len(text) <= letters:
        return text
    return textwrap.fill(text, letters, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def counted(number: int | str, what: str) -> str:
    """Return ``1 run``, ``2 runs`` or ``1 or 2 runs``."""
    return f"{number} {what}" if str(number) == "1" else f"{number} {what}s"


def terminal_width(stream: IO[str] | None = None) -> int:
    """Return the letters of a line of a terminal, by default the standard output, and very many where it is none."""
    try:
        return os.get_terminal_size((stream or sys.stdout).fileno()).columns or sys.maxsize
    except (OSError, ValueError):
        return sys.maxsize


def as_printed(text: str) -> str:
    """Return a text in the letters that the standard output has."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, OTHERS).decode(encoding)


class _Terminal(FileIO):
    """A terminal, to which a command that goes on, or cleans up, may write when it has been closed."""

    def write(self, data: Any, /) -> int:
        """Write, or lose what is written to a terminal that is gone."""
        try:
            return super().write(data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(data)


def _in_other_letters(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for letters that an output lacks, as in the locale C: a question mark if nothing else."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return "".join(OTHER_LETTERS.get(letter, "?") for letter in lacking), error.end


codecs.register_error(OTHERS, _in_other_letters)


def open_streams() -> None:
    """Replace streams that are closed, or may be, and let all write other letters for those that they lack."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        elif isinstance(stream, TextIOWrapper) and stream.isatty():
            raw = BufferedWriter(_Terminal(stream.fileno(), "w", closefd=False))
            setattr(sys, name, TextIOWrapper(raw, stream.encoding, errors=OTHERS, line_buffering=True))
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=OTHERS)
