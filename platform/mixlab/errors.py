"""The errors that end a command with one sentence: bad input, with exit code 2; a lost cluster or full disk, with 1."""

import difflib
import errno
from collections.abc import Iterable


class BadInput(Exception):
    """The input is wrong, which is found before anything starts; the message quotes it and says what would be valid."""


class HeadLost(Exception):
    """The head of the Ray cluster has died or become unreachable; the message is a sentence for the user."""


class StorageFull(Exception):
    """The storage has no room for another checkpoint; the message is a sentence for the user."""


def no_room(error: BaseException) -> bool:
    """Return whether an error says that a disk is full, or a quota used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ``BadInput`` that names the nearest of ``known`` unless ``name`` is among them."""
    known = list(known)
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise BadInput(f"unknown {what} {name!r}; {hint}")


def first_line(error: BaseException) -> str:
    """Return what went wrong, in one line."""
    reason = getattr(error, "reason", error)  # of a URLError
    return (str(reason).strip() or type(error).__name__).splitlines()[0]


def last_line(traceback: str) -> str:
    """Return the line of a traceback that says what happened: the last one that is not indented."""
    lines = [line for line in traceback.strip().splitlines() if line and not line[0].isspace()]
    return lines[-1] if lines else "unknown error"
