"""Designs: they make the arms of a study from its terms, each a name and the keys that it changes."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mixlab.errors import BadInput, quoted
from mixlab.spec import border
from mixlab.spec.arguments import checked_arguments
from mixlab.spec.arms import Arm

Term = tuple[str, Mapping[str, Any]]


@checked_arguments
def add_one_in(terms: Sequence[Term], baseline: str = "baseline") -> tuple[Arm, ...]:
    """Return the baseline, which changes nothing, and an arm ``+ TERM`` for each term by itself.

    A term is a name and the keys that it changes.
    """
    return (Arm(baseline, {}), *(Arm(f"+ {name}", changes) for name, changes in _checked(terms)))


@checked_arguments
def leave_one_out(terms: Sequence[Term], baseline: str = "full") -> tuple[Arm, ...]:
    """Return the baseline, which has every term, and an arm ``- TERM`` without each of them."""
    terms = _checked(terms)
    without = (Arm(f"- {name}", _all(term for term in terms if term[0] != name)) for name, _ in terms)
    return (Arm(baseline, _all(terms)), *without)


@checked_arguments
def factorial(terms: Sequence[Term], baseline: str = "baseline") -> tuple[Arm, ...]:
    """Return an arm for each of the 2^k combinations of ``terms``, first the one without any.

    Each arm records for every term whether it is on (1) or off (-1), from which the analysis estimates the effect of
    each term and their interactions.
    """
    arms, terms = [], _checked(terms)
    for on in sorted(itertools.product((True, False), repeat=len(terms)), key=sum):
        chosen = [term for term, wanted in zip(terms, on, strict=True) if wanted]
        signs = {name: 1 if wanted else -1 for (name, _), wanted in zip(terms, on, strict=True)}
        name = " + ".join(name for name, _ in chosen)
        arms.append(Arm(f"+ {name}" if name else baseline, _all(chosen), signs=signs))
    return tuple(arms)


def _checked(terms: Any) -> list[Term]:
    """Return ``terms``, which may also be a mapping from names to changes; ``BadInput`` for what is no term."""
    found = list(terms.items() if isinstance(terms, Mapping) else terms if isinstance(terms, Iterable) else [terms])
    for term in found:
        if not isinstance(term, Sequence) or len(term) != 2 or not isinstance(term[1], Mapping):
            example = '("l_s", {"penalty": 0.1})'
            raise BadInput(f"a term is a name and what it changes, such as {example}, got {quoted(term)}")
        border.require_name("a term", term[0])
    if not found:
        raise BadInput(f"a design needs at least one term, a name and what it changes, got {quoted(terms)}")
    border.require_different("two terms of a design", [name for name, _ in found])
    return found


def _all(terms: Any) -> dict[str, Any]:
    """Return the changes of all ``terms``; later ones win over earlier ones."""
    return {key: value for _, changes in terms for key, value in changes.items()}
