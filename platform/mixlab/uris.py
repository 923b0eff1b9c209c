"""What places are called: URIs without their passwords, the file of an SQLite URI, the part of a path that exists."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

PASSWORD = re.compile(r"(://[^:/@\s]*):\S*@")  # up to the last @, because a password may contain one that nobody quoted
SECRET = re.compile(r"([?&]\w*(?:secret|password|token|signature)\w*=)[^&\s]*", re.IGNORECASE)


def shown(text: str) -> str:
    """Return ``text`` with ``***`` for every password in a URI, before its host or in its query."""
    return SECRET.sub(r"\1***", PASSWORD.sub(r"\1:***@", text))


def existing_part(path: Path) -> Path:
    """Return the path if it exists and may be seen, else the nearest folder above it that does."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if os.path.exists(each))


def sqlite_file(uri: str) -> Path | None:
    """Return the file of an SQLite URI such as ``sqlite:///mlflow.db?timeout=60``; None for any other URI.

    As in any URI, ``%20`` in it is a space.
    """
    name = unquote(uri.removeprefix("sqlite:///").partition("?")[0])
    return Path(name) if name and uri.startswith("sqlite:///") else None
