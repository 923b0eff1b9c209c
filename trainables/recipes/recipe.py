"""The type of a recipe."""

from typing import Any

Recipe = dict[str, Any]  # dotted keys of ``trainables.config``
