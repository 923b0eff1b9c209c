"""The progress of long work: a bar on a terminal, and lines in a log, in which a bar would be one endless line."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

LINE_SECONDS = 300.0  # between two lines of a log


def progress(items: Iterable[Any] | None, doing: str, **options: Any) -> Any:
    """Return a bar of tqdm over the items, with the words for what is being done; all else is as for tqdm."""
    options |= {"leave": False, "position": 0}
    if not sys.stderr.isatty():
        options |= {"file": _Log(), "delay": LINE_SECONDS, "mininterval": LINE_SECONDS}
    return tqdm(items, doing, **options)


class _Log:
    """The standard error, where what tqdm writes over its last words is a line of its own."""

    def write(self, text: str) -> None:
        if line := text.strip("\r\n "):
            print(line, file=sys.stderr)

    def flush(self) -> None:
        sys.stderr.flush()
