"""A wait is as long as something moves, however slow the machine is, and short once nothing does."""

import itertools
from types import SimpleNamespace

import pytest

from tests import waiting
from tests.waiting import wait_for


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> list[float]:
    """Return the time in seconds, which passes only while a wait pauses."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    return now


def test_what_moves_is_waited_for_far_beyond_the_limit(clock):
    lines = itertools.count()
    wait_for(lambda: clock[0] > 3600, standing_still=lambda: next(lines), seconds=120, pause=0.5)
    assert clock[0] == pytest.approx(3600, abs=1)


def test_what_stands_still_is_given_up_with_its_last_words(clock):
    with pytest.raises(AssertionError, match="nothing moved for 120 s: it hangs"):
        wait_for(lambda: False, standing_still=lambda: min(clock[0], 50), account=lambda: "it hangs", seconds=120)
    assert clock[0] == pytest.approx(170, abs=1)
