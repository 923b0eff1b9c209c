"""URIs as they may be printed and recorded, without their passwords, and the file that one of them names."""

import re
from pathlib import Path

PASSWORD = re.compile(r"(://[^:/@\s]*):\S*@")  # to the last @: who forgets to quote one has it in the password
SECRET = re.compile(r"([?&]\w*(?:secret|password|token|signature)\w*=)[^&\s]*", re.IGNORECASE)


def shown(text: str) -> str:
    """``text`` with ``***`` for every password that a URI in it bears, before its host or in its query."""
    return SECRET.sub(r"\1***", PASSWORD.sub(r"\1:***@", text))


def sqlite_file(uri: str) -> Path | None:
    """Return the file of an SQLite URI such as ``sqlite:///mlflow.db?timeout=60``; None for any other URI."""
    name = uri.removeprefix("sqlite:///").partition("?")[0]
    return Path(name) if name and uri.startswith("sqlite:///") else None
