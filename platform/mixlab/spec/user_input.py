"""Checks arguments and fields of a study before anything is made of them: each fault is one sentence that quotes it.

What a field may hold is its declared type; ``check_fields`` compares the two.
"""

import csv
import functools
import inspect
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from mixlab.errors import BadInput, require, require_known

# The names of parameters and metrics that MLflow takes: no part between slashes may be empty, "." or "..".
RECORDABLE = re.compile(r"(?!(.*/)?\.{0,2}(/|$))[\w.\-: /]{1,250}")
MOST_SEED = 2**63  # the table of all runs holds seeds in 64 bits
MOST_SEEDS = 1000  # a larger number is a seed typed where a count is meant
MOST_TRIALS = 100_000  # each is held in memory, and nobody trains more
WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "True or False",
    type(None): "None",
    Mapping: "a mapping",
    Callable: "a function",
}
type_hints: Callable[[Any], dict[str, Any]] = functools.cache(get_type_hints)  # reading them takes long


def plain(value: Any) -> Any:
    """Return plain Python values for numbers of NumPy and torch and members of an enumeration, and lists for arrays.

    So are the items of lists, tuples, sets and dictionaries; all else is returned as it is.
    """
    if type(value) in (str, int, float, bool, type(None)):  # most values, which need no other question
        return value
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(plain, value))
    if type(value) is dict:
        return {plain(key): plain(each) for key, each in value.items()}
    if isinstance(value, Enum) and isinstance(value, str | int | float):  # shown by its name, and recorded by its value
        return plain(value.value)
    if hasattr(value, "dtype") and hasattr(value, "tolist") and not callable(value):
        return plain(value.tolist())
    return value


def check_fields(of: Any, whose: str) -> None:
    """Raise ``BadInput`` for a field of a dataclass that is not of its declared type."""
    for name, hint in type_hints(type(of)).items():
        require_type(f"{name} of {whose}", getattr(of, name), hint)


def require_type(what: str, value: Any, hint: Any) -> None:
    """Raise ``BadInput`` unless a value, or each in a sequence, is of a type as it is written in an annotation."""
    require(_fits(value, hint), what, _in_words(hint), value)


def is_a(kind: type, value: Any) -> bool:
    """Return whether a value is of a kind; an int is a float too, true and false no numbers, text no sequence."""
    if isinstance(value, bool) or (kind is Sequence and isinstance(value, str | bytes)):
        return kind is bool
    return isinstance(value, int | float if kind is float else kind)


def _fits(value: Any, hint: Any) -> bool:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind in (Sequence, tuple):
        return is_a(Sequence, value) and all(_fits(each, parts[0]) for each in value)
    return kind is Any or is_a(kind, value)


def _in_words(hint: Any) -> str:
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return " or ".join(map(_in_words, parts))
    if kind in (Sequence, tuple):
        return "a list of names" if parts[0] is str else f"a list or tuple, each {_in_words(parts[0])}"
    return WORDS.get(kind) or f"of the type {getattr(kind, '__name__', kind)}"


def configuration(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a configuration with Python numbers; ``where`` says in words what it belongs to.

    Raises:
        BadInput: it is not a mapping, a key is not text, or JSON cannot hold a value.
    """
    require(isinstance(config, Mapping), where, "a mapping from configuration keys to values", config)
    found: dict[str, Any] = plain(dict(config))
    for key, value in found.items():
        if not isinstance(key, str):
            raise BadInput(f"{where} has the key {key!r}: keys of a configuration are text")
        require_recordable(f"{where} has the key {key!r}", key)
        require(_storable(value), key, "text, a number, true, false, None or a list of those", value)
    return found


def _storable(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_storable, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _storable(each) for key, each in value.items())
    return value is None or isinstance(value, str | int | float)


def seeds(given: Any) -> Any:
    """Return an iterable of whole numbers as a tuple, and anything else for ``require_seeds`` to refuse."""
    if isinstance(given, str | bytes | Mapping):
        return given
    try:
        first = itertools.islice(given, MOST_SEEDS + 1)  # an iterable may have no end
        found = tuple(seed if isinstance(seed, bool) else operator.index(seed) for seed in first)
    except TypeError:
        return given
    return found if len(found) <= MOST_SEEDS else given


def require_seeds(given: Any, whose: str) -> None:
    """Raise ``BadInput`` unless ``given`` are different whole numbers, at least one."""
    fits = isinstance(given, tuple) and all(type(seed) is int and -MOST_SEED <= seed < MOST_SEED for seed in given)
    valid = f"at most {MOST_SEEDS} whole numbers of 64 bits, such as range(6), or (7,) for the seed 7 alone"
    require(fits, f"the seeds of {whose}", valid, given)
    if not given:
        raise BadInput(f"{whose} needs at least 1 seed, got 0")
    if twice := [seed for place, seed in enumerate(given) if seed in given[:place]]:
        raise BadInput(f"{whose} has the seed {twice[0]} twice: every seed is one run")


def names(text: str) -> list[str]:
    """Return the names in ``A,B``; one with a comma is in double quotes. ``BadInput`` for a quote without an end."""
    try:
        (found,) = csv.reader([text], skipinitialspace=True, strict=True)
    except csv.Error:
        raise BadInput(
            f"{text!r} cannot be read as names with commas between them; "
            'a name that holds a comma is written "A, B", and a double quote in it twice'
        ) from None
    return [name.strip() for name in found if name.strip()]


def require_name(what: str, name: Any) -> None:
    """Raise ``BadInput`` unless ``name`` is text, and not blank."""
    if not isinstance(name, str) or not name.strip():
        raise BadInput(f"{what} needs a name in text, got {name!r}")


def require_recordable(what: str, name: str) -> None:
    """Raise ``BadInput``, a sentence that begins with ``what``, unless MLflow records a value under ``name``."""
    if not RECORDABLE.fullmatch(name):
        raise BadInput(f"{what}, but MLflow records 1 to 250 letters, digits, spaces, any of ._-: and / between names")


def require_study_name(name: Any) -> None:
    """Raise ``BadInput`` unless ``name`` can name a study, and so a folder within another."""
    require_name("a study", name)
    if name in (".", "..") or name != name.strip() or not name.isprintable() or set(name) & set("/\\:"):
        raise BadInput(
            f"a study names a folder and an MLflow experiment: {name!r} must have no slash, backslash or colon, "
            "no invisible character, and no space at its ends"
        )
    if len(name.encode()) > 200:
        raise BadInput(f"a study must have a name of at most 200 bytes in UTF-8, got {len(name.encode())} in {name!r}")


def require_count(what: str, given: Any) -> None:
    """Raise ``BadInput`` unless ``given`` is a whole number, 1 or more."""
    require(is_a(int, given) and given >= 1, what, "a whole number, at least 1", given)


def require_few(what: str, count: int) -> None:
    """Raise ``BadInput``, a sentence that begins with ``what``, if there are so many that they would never end."""
    if count > MOST_TRIALS:
        raise BadInput(f"{what} {count} trials, but at most {MOST_TRIALS} can be run: leave some out")


def require_sequence(what: str, given: Any, example: str) -> None:
    """Raise ``BadInput`` unless ``given`` is a list or tuple, not text, with something in it."""
    require(is_a(Sequence, given), what, f"a list or tuple, such as {example}", given)
    if not given:
        raise BadInput(f"{what} must have at least 1 entry, such as {example}, got none")


def require_different(what: str, names: Iterable[str]) -> None:
    """Raise ``BadInput`` if a name occurs twice, or two of them differ in spaces alone."""
    seen: dict[str, str] = {}
    for name in names:
        looks = " ".join(name.split())
        if looks in seen:
            same = f"look the same, {seen[looks]!r} and {name!r}"
            if seen[looks] == name:
                same = f"have the same name {name!r}"
            raise BadInput(f"{what} {same}: give each its own")
        seen[looks] = name


Called = TypeVar("Called", bound=Callable[..., Any])  # a class or a function


def checked_arguments(called: Called) -> Called:
    """Let a class or a function raise ``BadInput`` where Python would raise ``TypeError`` for its arguments.

    Each of them is passed on as plain data: see ``user_input.plain``.
    """
    signature = inspect.signature(called)
    parameters = [each for each in signature.parameters.values() if each.kind is not each.VAR_POSITIONAL]
    takes = ", ".join(f"{each.name}=" if each.kind is each.KEYWORD_ONLY else each.name for each in parameters)
    function = called.__init__ if isinstance(called, type) else called  # type: ignore[misc]
    before = 1 if isinstance(called, type) else 0  # the object itself

    @functools.wraps(function)
    def checked(*given: Any, **named: Any) -> Any:
        for name in named:
            require_known(f"argument of {called.__name__}", name, [each.name for each in parameters])
        try:
            values, named = plain(given[before:]), plain(named)
            signature.bind(*values, **named)
        except TypeError as error:
            got = f", got {', '.join(map(repr, values))}" if values else ""
            raise BadInput(f"wrong arguments of {called.__name__}: {error}{got}; it takes {takes}") from None
        return function(*given[:before], *values, **named)

    if not isinstance(called, type):
        return cast(Called, checked)
    called.__init__ = checked  # type: ignore[misc]
    return called
