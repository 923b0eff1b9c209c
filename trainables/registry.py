"""The members of a package by their names, each imported when it is first looked up."""

from collections import UserDict
from collections.abc import Mapping
from importlib import import_module
from typing import Any


class Registry(UserDict[str, Any]):
    """Maps a name to the object that a file of ``package`` defines under it: a function, or a constant in capitals."""

    def __init__(self, package: str, files: Mapping[str, str]) -> None:
        super().__init__(files)
        self.package = package

    def __getitem__(self, name: str) -> Any:
        """Return the member ``name``; raise ``KeyError`` if there is none."""
        if isinstance(self.data[name], str):
            defined = vars(import_module(f"{self.package}.{self.data[name]}"))
            self.data[name] = defined[name if name in defined else name.upper()]
        return self.data[name]
