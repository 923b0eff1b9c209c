"""Checks how the parts of a study are called: a wrong argument is answered in a sentence that names the right ones."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from mixlab.errors import BadInput, quoted, require_known
from mixlab.spec import border

Called = TypeVar("Called", bound=Callable[..., Any])  # a class or a function


def checked_arguments(called: Called) -> Called:
    """Let a class or a function raise ``BadInput`` where Python would raise ``TypeError`` for its arguments.

    Each of them is passed on as plain data: see ``border.plain``.
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
            values, named = border.plain(given[before:]), border.plain(named)
            signature.bind(*values, **named)
        except TypeError as error:
            got = f", got {', '.join(map(quoted, values))}" if values else ""
            raise BadInput(f"wrong arguments of {called.__name__}: {error}{got}; it takes {takes}") from None
        except RecursionError:
            raise BadInput(f"an argument of {called.__name__} holds itself, or too many lists in one another") from None
        return function(*given[:before], *values, **named)

    if not isinstance(called, type):
        return cast(Called, checked)
    called.__init__ = checked  # type: ignore[misc]
    return called
