"""The members of a package by their names, each imported when it is first looked up."""

from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any


class Registry(UserDict[str, Any]):
    """Maps a name to the object that a file of ``package`` defines under it: a function, or a constant in capitals."""

    def __init__(self, package: str, files: Mapping[str, Any]) -> None:
        super().__init__()
        self.data.update(files)
        self.package = package

    def __getitem__(self, name: str) -> Any:
        """Return the member ``name``; raise ``KeyError`` if there is none, ``ValueError`` if its file lacks it."""
        if isinstance(self.data[name], str):
            module = import_module(f"{self.package}.{self.data[name]}")
            found = next((each for each in (name, name.upper()) if hasattr(module, each)), None)
            if found is None:
                raise ValueError(f"{module.__file__} defines neither {name!r} nor {name.upper()!r}")
            self.data[name] = getattr(module, found)
        return self.data[name]

    def __setitem__(self, name: str, member: Any) -> None:
        """Raise ``TypeError``: what a study's file added, the processes that train would not have."""
        file = f"{self.package.replace('.', '/')}/__init__.py"
        raise TypeError(f"{name!r} must be a line of {file}, which the processes that train read too")
