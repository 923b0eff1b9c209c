"""What ends a command with one sentence: what a user got wrong, by exit code 2; a cluster that is lost, by 1."""

import difflib
from collections.abc import Iterable


class BadInput(Exception):
    """Found before anything started; the message quotes the value and says what would be valid."""


class HeadLost(Exception):
    """The head of the Ray cluster has died, or cannot be reached any more; the message is a sentence for the user."""


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ``BadInput`` that names the nearest of ``known`` unless ``name`` is among them."""
    known = list(known)
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise BadInput(f"unknown {what} {name!r}; {hint}")


def first_line(error: BaseException) -> str:
    """Return what went wrong, in a line."""
    reason = getattr(error, "reason", error)  # of a URLError
    return (str(reason).strip() or type(error).__name__).splitlines()[0]


def last_line(traceback: str) -> str:
    """Return the line of a traceback that says what happened: its last that is not indented."""
    lines = [line for line in traceback.strip().splitlines() if line and not line[0].isspace()]
    return lines[-1] if lines else "unknown error"
