"""Refuses an unknown name, and names the nearest one that is known."""

import difflib
from collections.abc import Iterable


def require_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ``ValueError`` that names the nearest of ``known`` unless ``name`` is among them."""
    known = list(known)
    if name in known:
        return
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    raise ValueError(f"unknown {what} {name!r}; {hint}")
