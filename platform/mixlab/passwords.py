"""Hides the passwords of URIs in whatever is printed or recorded."""

import re

PASSWORD = re.compile(r"(://[^:/\s]*):\S*@")  # up to the last @, because a password may contain one that nobody quoted
SECRET = re.compile(
    r"([?&](?:[\w-]*(?:secret|passw|token|signature|account_key)[\w-]*|sig|odbc_connect)=)(?!\*\*\*)[^&\s]*",
    re.IGNORECASE,
)  # also of an address that Amazon or Azure has signed; what is hidden already may have a quotation mark after it


def shown(text: str) -> str:
    """Return ``text`` with ``***`` for every password in a URI, before its host or in its query."""
    return SECRET.sub(r"\1***", PASSWORD.sub(r"\1:***@", text))
