"""torch's compiler, ``torch._dynamo``, is imported once something is compiled.

Without this, torchvision would import it, and so would the first step of any optimiser, although neither has any use
for it where nothing is compiled: 1,100 modules, for which each start of a study and each process of a trial would wait
as long again as for torch itself. ``torch._dynamo`` is private to torch in the version that ``constraints.txt`` pins.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

DYNAMO = "torch._dynamo"


class StandIn(ModuleType):
    """Stands for a module, and is replaced by it once it is asked for anything that it has not been given."""

    def __init__(self, name: str, **given: Any) -> None:
        super().__init__(name)
        vars(self).update(given)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the module; whoever looks through all modules asks for names such as ``__file__``."""
        if name.startswith("__") and (self.__name__, name) != (DYNAMO, "__path__"):  # which leads to its modules
            raise AttributeError(name)
        return getattr(_imported(self.__name__), name)


def leave_out_until_needed() -> None:
    """Put stand-ins for the compiler, unless it is there, that do what it does where nothing is compiled."""
    if DYNAMO not in sys.modules:
        sys.modules[DYNAMO] = StandIn(DYNAMO, disable=_disable, graph_break=lambda msg="": None)
        sys.modules[f"{DYNAMO}.utils"] = StandIn(f"{DYNAMO}.utils", is_compile_supported=_is_compile_supported)


def _disable(function: Callable[..., Any] | None = None, *given: Any, **options: Any) -> Any:
    """Return the function itself, as nothing compiles it; without one, what the compiler returns."""
    return function or _imported(DYNAMO).disable(function, *given, **options)


def _is_compile_supported(device: str) -> Any:
    return _imported(f"{DYNAMO}.utils").is_compile_supported(device)


def _imported(name: str) -> Any:
    for stand_in in [each for each, module in sys.modules.items() if isinstance(module, StandIn)]:
        sys.modules.pop(stand_in, None)  # another thread may just have done so
    return importlib.import_module(name)
