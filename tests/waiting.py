"""The one way in which tests wait: for as long as something moves.

A limit on the total time fails on a machine that has other work to do; a limit on standing still fails only if
something is wrong.
"""

import time
from collections.abc import Callable
from typing import TypeVar

STANDING_STILL_SECONDS = 120.0

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T],
    standing_still: Callable[[], object] = lambda: None,
    account: Callable[[], str] = lambda: "it never came true",
    seconds: float = STANDING_STILL_SECONDS,
    pause: float = 0.02,
) -> T:
    """Return the first true value of ``condition``, which is called repeatedly.

    Args:
        condition: the condition to wait for; an exception in it ends the wait.
        standing_still: returns a value that changes while all is well, such as the length of a log.
        account: returns the message of a failure.
        seconds: the longest time for which ``standing_still`` may stay the same.
        pause: the seconds between two calls.
    """
    before, since = standing_still(), time.monotonic()
    while not (value := condition()):
        now = standing_still()
        if now != before:
            before, since = now, time.monotonic()
        assert time.monotonic() - since < seconds, f"nothing moved for {seconds:.0f} s: {account()}"
        time.sleep(pause)
    return value
