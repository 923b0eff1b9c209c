"""The factors and the arms of a study, what they must be, and designs, which make the arms from terms."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mixlab.errors import BadInput, require, require_known
from mixlab.spec import user_input
from mixlab.spec.trainable import Config
from mixlab.spec.user_input import checked_arguments

Level = Mapping[str, Any]  # the keys that a factor's level changes in the base


def levels_of(factor: str, given: Any) -> dict[str, Level]:
    """Return the levels of a factor, given as values of its key or as a mapping, from each label to its changes."""
    return dict(given) if isinstance(given, Mapping) else {str(value): {factor: value} for value in given}


def require_factors(factors: Any) -> None:
    """Raise ``BadInput`` unless ``factors`` maps each key to different levels."""
    require(isinstance(factors, Mapping), "the factors of a study", "a mapping from keys to levels", factors)
    for factor, given in factors.items():
        user_input.require_name("a factor", factor)
        _require_levels(factor, given)


def _require_levels(factor: str, given: Any) -> None:
    labels = list(given) if isinstance(given, Mapping) else given
    example = f'("{labels}",)' if isinstance(labels, str) else "(0.1, 0.2)"
    user_input.require_sequence(f"the levels of the factor {factor!r}", labels, example)
    user_input.require_different(f"two levels of the factor {factor!r}", map(str, labels))
    levels = levels_of(factor, given)
    for label, level in levels.items():
        user_input.require_name(f"a level of {factor!r}", label)
        user_input.configuration(level, f"the level {label!r} of {factor!r}")
    for first, second in itertools.combinations(levels, 2):
        if dict(levels[first]) == dict(levels[second]):
            raise BadInput(f"the levels {first!r} and {second!r} of the factor {factor!r} are the same")


@checked_arguments
@dataclass(frozen=True)
class Arm:
    """One of the variants that a study compares.

    Args:
        name: its name in the table.
        changes: the keys that it changes in the base.
        against: the name of the arm that it is compared with, if that is not the baseline.
        control: whether the arm shows what other arms change besides what they are named for; the table marks it.
        signs: in a factorial design, whether each term is on (1) or off (-1).
    """

    name: str
    changes: Config
    against: str | None = None
    control: bool = False
    signs: Mapping[str, int] = field(default_factory=dict)


def require_arms(study: str, arms: Sequence[Arm]) -> None:
    """Raise ``BadInput`` unless ``arms`` can be the rows of the table of ``study``."""
    user_input.require_sequence("the arms of a study", arms, '(Arm("baseline", {}),)')
    for arm in arms:
        require(isinstance(arm, Arm), "the arms of a study", "of the type Arm", arm)
        user_input.require_name("an arm", arm.name)
        user_input.configuration(arm.changes, f"the arm {arm.name!r}")
        user_input.check_fields(arm, f"the arm {arm.name!r}")
        if any(sign not in (-1, 1) for sign in arm.signs.values()):
            raise BadInput(f"the signs of the arm {arm.name!r} must map terms to 1 or -1, got {arm.signs!r}")
    user_input.require_different(f"two arms of {study}", [arm.name for arm in arms])
    crossed = [arm for arm in arms if arm.signs]
    for arm in crossed:
        if arm.signs.keys() != crossed[0].signs.keys():
            two = f"{crossed[0].name!r} and {arm.name!r}"
            raise BadInput(f"the arms {two} belong to two factorial designs, and a study can have one: leave one out")
    _require_comparisons(arms)


def _require_comparisons(arms: Sequence[Arm]) -> None:
    """Raise ``BadInput`` unless every comparison leads to the baseline, the first arm."""
    against = {arm.name: arm.against for arm in arms}
    for name, other in against.items():
        if other is not None:
            require_known(f"arm in 'against' of the arm {name!r}:", other, against)
    if arms[0].against is not None:
        raise BadInput(f"the baseline {arms[0].name!r} is compared with nothing, got {arms[0].against!r}")
    for name in against:
        passed = [name]
        while (other := against[passed[-1]]) is not None and other not in passed:
            passed.append(other)
        if other == name:
            way = f", by way of {', '.join(map(repr, passed[1:]))}" if passed[1:] else ""
            raise BadInput(f"the arm {name!r} is compared with itself{way}: name another arm")


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
    if isinstance(terms, Mapping):
        terms = terms.items()
    found = list(terms) if isinstance(terms, Iterable) else [terms]
    for term in found:
        if not isinstance(term, Sequence) or len(term) != 2 or not isinstance(term[1], Mapping):
            example = '("l_s", {"penalty": 0.1})'
            raise BadInput(f"a term is a name and what it changes, such as {example}, got {term!r}")
        user_input.require_name("a term", term[0])
    if not found:
        raise BadInput(f"a design needs at least one term, a name and what it changes, got {terms!r}")
    user_input.require_different("two terms of a design", [name for name, _ in found])
    return found


def _all(terms: Any) -> dict[str, Any]:
    """Return the changes of all ``terms``; later ones win over earlier ones."""
    return {key: value for _, changes in terms for key, value in changes.items()}
