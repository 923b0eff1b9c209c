"""What the errors that refuse something say: the nearest known name, and a library's error in one line."""

import difflib
from collections.abc import Iterable


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ``ValueError`` that names the nearest of ``known`` unless ``name`` is among them."""
    known = list(known)
    if name in known:
        return
    lower = {each.casefold(): each for each in reversed(known)}
    near = [lower[each] for each in difflib.get_close_matches(str(name).casefold(), lower, n=1, cutoff=0.5)]
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(repr, known))}"
    raise ValueError(f"unknown {what} {name!r}; {hint}")


def first_line(error: Exception) -> str:
    """Return what went wrong, in one line: the name of the error where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
