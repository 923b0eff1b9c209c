"""The factors of a study: by the key that each varies, its levels."""

from collections.abc import Mapping
from typing import Any

from mixlab.errors import BadInput
from mixlab.spec import border

Level = Mapping[str, Any]  # the keys that a factor's level changes in the base


def levels_of(factor: str, given: Any) -> dict[str, Level]:
    """Return the levels of a factor, given as values of its key or as a mapping, from each label to its changes."""
    return dict(given) if isinstance(given, Mapping) else {str(value): {factor: value} for value in given}


def require_factors(factors: Any) -> None:
    """Raise ``BadInput`` unless ``factors`` maps each key to different levels."""
    border.require_mapping("the factors of a study", "from keys to levels", factors)
    for factor, given in factors.items():
        border.require_name("a factor", factor)
        labels = list(given) if isinstance(given, Mapping) else given
        example = f'("{labels}",)' if isinstance(labels, str) else "(0.1, 0.2)"
        border.require_sequence(f"the levels of the factor {factor!r}", labels, example)
        for label in labels:
            if isinstance(given, Mapping):
                border.require_name(f"a level of {factor!r}", label)
            else:
                border.configuration({factor: label}, f"a level of {factor!r}")
        border.require_different(f"two levels of the factor {factor!r}", map(str, labels))
        seen: list[tuple[str, Level]] = []
        for label, level in levels_of(factor, given).items():
            border.require_name(f"a level of {factor!r}", label)
            border.configuration(level, f"the level {label!r} of {factor!r}")
            for other, same in seen:
                if dict(level) == dict(same):
                    raise BadInput(f"the levels {other!r} and {label!r} of the factor {factor!r} are the same")
            seen.append((label, level))
