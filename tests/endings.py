"""The two ways in which a call ends that is no success: a refusal of one sentence, and an exit code."""

import contextlib
from collections.abc import Iterator

import pytest

from mixlab.errors import BadInput


@contextlib.contextmanager
def refused(*parts: str) -> Iterator[None]:
    """Require that the block is refused as bad input, in one sentence that holds every part."""
    with pytest.raises(BadInput) as error:
        yield
    sentence = str(error.value)
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence


@contextlib.contextmanager
def ended(code: int) -> Iterator[None]:
    """Require that the block ends the process with an exit code."""
    with pytest.raises(SystemExit) as end:
        yield
    assert end.value.code == code
