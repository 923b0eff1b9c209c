"""What the errors that refuse something say: the nearest known name, and a library's error in one line."""

import difflib
import re
from collections.abc import Iterable
from functools import partial

LIKE = 1.3  # from here on, a name may be another one that was misspelt (``_likeness``)


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ``ValueError`` that names the nearest of ``known`` unless ``name`` is among them."""
    known = list(known)
    if name in known:
        return
    nearest = max(known, key=partial(_likeness, str(name)))
    like = _likeness(str(name), nearest) > LIKE
    hint = f"did you mean {nearest!r}?" if like else f"there are {', '.join(map(repr, known))}"
    raise ValueError(f"unknown {what} {name!r}; {hint}")


def _likeness(name: str, known: str) -> float:
    """Return how alike two names are, from 0 to 3: in all their letters, without digits, and in their beginning."""
    name, known = name.casefold(), known.casefold()
    pairs = (name, known), (re.sub(r"\d", "", name), re.sub(r"\d", "", known)), (name, known[: len(name)])
    return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)


def first_line(error: Exception) -> str:
    """Return what went wrong, in one line: the name of the error where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
