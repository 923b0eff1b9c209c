"""One start of the command."""

import os
import time
from pathlib import Path

import pytest
from rich.console import Console

from mixlab import Options
from mixlab.launching.start import Start
from tests.mixlab.search_toy import TRAIN


def test_starts_of_one_second_in_two_containers_have_two_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both are process 1 there; with one name, one would write into the trials of the other."""
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(time, "strftime", lambda *_: "20250101-120000")
    options = Options(storage=str(tmp_path))
    names = {Start("toy", TRAIN, options, Console(), tmp_path / "study.py").launch for _ in range(10)}
    assert len(names) == 10
    assert all(name.startswith("20250101-120000-") for name in names)
