"""URIs as they may be printed and recorded: without their passwords."""

import re

PASSWORD = re.compile(r"(://[^:/@\s]*):\S*@")  # to the last @: who forgets to quote one has it in the password
SECRET = re.compile(r"([?&]\w*(?:secret|password|token|signature)\w*=)[^&\s]*", re.IGNORECASE)


def shown(text: str) -> str:
    """``text`` with ``***`` for every password that a URI in it bears, before its host or in its query."""
    return SECRET.sub(r"\1***", PASSWORD.sub(r"\1:***@", text))
