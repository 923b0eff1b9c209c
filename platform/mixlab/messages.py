"""Prints the sentences of a command wherever they go, and counts things in them."""

import codecs
import errno
import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any

from rich.console import Console

STOPPED = "Stopped; give the same command again to go on"
OTHERS = "mixlab.others"  # the name by which a stream finds ``_in_other_letters``
OTHER_LETTERS = {
    **{"✓": "+", "✂": "/", "✗": "x", "·": ".", "–": "-", "−": "-", "…": "...", "\N{NO-BREAK SPACE}": " "},
    **{"±": "+/-", "×": "x", "≤": "<=", "≥": ">=", "→": "->"},
}


def say(console: Console, text: str, *, style: str | None = None) -> None:
    """Print a text as it is: no name in it is taken for a style, and only the terminal breaks its lines."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def counted(number: int | str, what: str) -> str:
    """Return ``1 run``, ``2 runs`` or ``1 or 2 runs``."""
    return f"{number} {what}" if str(number) == "1" else f"{number} {what}s"


def terminal_width() -> int:
    """Return the letters of a line of the terminal, and very many where the output goes elsewhere."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or sys.maxsize
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
