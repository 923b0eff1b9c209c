"""Hides the passwords of URIs in whatever is printed or recorded."""

import re

# Up to the last @, because a password may contain one that nobody quoted. It may contain spaces too, unless what is
# before them is a port; then other words could follow an address.
PASSWORD = re.compile(r"(://[^:/\s]*):(?:\S*|(?![\s:]|\d+\b)[^@\n]{1,100}(?:@\S*)?)@")
SECRET = re.compile(
    r"([?&](?:[\w-]*(?:secret|passw|token|signature|account_key)[\w-]*|sig|odbc_connect)=)(?!\*\*\*)[^&\s]*",
    re.IGNORECASE,
)  # also of an address that Amazon or Azure has signed; what is hidden already may have a quotation mark after it


def shown(text: str) -> str:
    """Return ``text`` with ``***`` for every password in a URI, before its host or in its query."""
    before, at, after = text.rpartition("@")  # of a long text without one, every part would be looked through for it
    return SECRET.sub(r"\1***", PASSWORD.sub(r"\1:***@", before + at) + after)
