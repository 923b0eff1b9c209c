"""What the errors that refuse something say: the nearest known name, a library's error in one line, and counts."""

import contextlib
import difflib
import re
from collections.abc import Collection, Iterator
from functools import partial

LIKE = 1.3  # the ``_likeness`` from which a name may be another one misspelt
MOST_BEGUN = 20  # up to so many names that begin with the given one are all shown


def require_known(what: str, name: str, known: Collection[str]) -> None:
    """Raise ``ValueError`` unless ``name`` is one of ``known``: it names those that begin with it, or the nearest."""
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; {_hint(str(name), known)}")


def _hint(name: str, known: Collection[str]) -> str:
    begun = [each for each in known if name and each.casefold().startswith(name.casefold())]
    if 0 < len(begun) <= MOST_BEGUN:
        *others, last = map(repr, begun)
        return f"did you mean {', '.join(others)} or {last}?" if others else f"did you mean {last}?"
    if _likeness(name, nearest := max(known, key=partial(_likeness, name))) > LIKE:
        return f"did you mean {nearest!r}?"
    return f"there are {', '.join(map(repr, known))}"


def _likeness(name: str, known: str) -> float:
    """Return how alike two names are, from 0 to 3: in all their letters, without digits, and in their beginning."""
    name, known = name.casefold(), known.casefold()
    pairs = (name, known), (re.sub(r"\d", "", name), re.sub(r"\d", "", known)), (name, known[: len(name)])
    return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)


def require_unset(key: str, given: object, unset: Collection[object], reads: str, here: str) -> None:
    """Raise ``ValueError`` for an option that is set, not one of ``unset``, though only ``reads`` would read it."""
    if given not in unset:
        raise ValueError(f"{key} is for {reads}: it must be {' or '.join(map(repr, unset))} {here}, got {given!r}")


def counted(number: int, what: str) -> str:
    """Return ``1 image`` or ``2 images``, ``1 class`` or ``2 classes``."""
    ending = "es" if what.endswith(("s", "ch")) else "s"
    return f"{number} {what}" if number == 1 else f"{number} {what}{ending}"


def first_line(error: Exception) -> str:
    """Return what went wrong, in one line: the name of the error where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextlib.contextmanager
def refused(what: str) -> Iterator[None]:
    """Raise ``ValueError`` that says ``what`` fails, and why, where code that may be a user's own does."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        why = first_line(error)
        if not isinstance(error, AssertionError | RuntimeError):
            why = f"{type(error).__name__}: {why}"
        raise ValueError(f"{what} ({why})") from None
