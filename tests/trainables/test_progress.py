"""Long work says how far it is, also in a log."""

import re
import sys
import time

from trainables import progress


def test_a_log_has_a_line_at_times_and_none_of_short_work(monkeypatch, capfd):
    assert list(progress.progress(range(3), "testing")) == [0, 1, 2]
    assert capfd.readouterr().err == ""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.02)
    for _ in progress.progress(range(4), "fine-tuning"):
        time.sleep(0.03)
    first, *others = capfd.readouterr().err.splitlines()
    assert re.match(r"fine-tuning:  25%.* 1/4 ", first)
    assert 0 < len(others) < 4


def test_a_terminal_has_a_bar_that_goes_away(monkeypatch, capfd):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.progress(None, "weights.pth", total=2000, initial=500, unit="B", unit_scale=True) as bar:
        bar.update(1500)
    shown = capfd.readouterr().err
    assert "weights.pth:  25%|" in shown
    assert "500/2.00k" in shown
    assert shown.split("\r")[-2].strip() == ""
