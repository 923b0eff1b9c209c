"""Prints the sentences of a command, and counts things in them."""

from rich.console import Console

STOPPED = "Stopped; give the same command again to go on"


def say(console: Console, text: str, *, style: str | None = None) -> None:
    """Print a text as it is: no name in it is taken for a style, and only the terminal breaks its lines."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def counted(number: int | str, what: str) -> str:
    """Return ``1 run``, ``2 runs`` or ``1 or 2 runs``."""
    return f"{number} {what}" if str(number) == "1" else f"{number} {what}s"
