"""The live table on terminals of every kind, and its lines without one."""

import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from mixlab import Epoch, Metric
from mixlab.launching import display
from mixlab.launching.display import Display, Progress, Shown, in_words
from mixlab.messages import OTHERS
from mixlab.spec.trial import State, Trial
from tests.waiting import wait_for

TOP1 = Metric("test_top1", "%", higher_is_better=True)
TRIALS = [
    Trial(f"{arm}{seed}", arm, {"mixer": "cutmix"}, seed, {}) for arm in ("baseline", "+ lam") for seed in range(4)
]


class Phase(Progress):
    """A phase that stands still."""

    def __init__(self, counts: str, rows: Sequence[Trial] = TRIALS, result: str = "test_top1", **others: Any) -> None:
        self.rows = rows
        self.shown = Shown(TOP1, result)
        for name, answer in {"counts": counts, "done": {}, "expected": None, "verdicts": {}, **others}.items():
            setattr(self, name, lambda answer=answer: answer)


def console_of(width: int = 100, **terminal: Any) -> tuple[Console, io.StringIO]:
    """Return a console without colours, and what it writes to."""
    file = io.StringIO()
    return Console(file=file, width=width, height=40, **{"color_system": None, **terminal}), file


def top1(number: int, of: int = 10, value: float = 71.5) -> Epoch:
    return Epoch(number, of, {"test_top1": value})


def shown(width: int = 100, verdicts: Mapping[str, str] = {}, **terminal: Any) -> str:
    """Return the live table after one trial has ended, one failed, one ran three of ten epochs and one goes on."""
    console, file = console_of(width, **{"force_terminal": True, "legacy_windows": False, **terminal})
    phase = Phase("2 of 8 done", done={TRIALS[3].key: "70.10"}, expected=7, verdicts=verdicts)
    display = Display(console, phase, quiet=False)
    done, failed, running, resumed = TRIALS[0], TRIALS[1], TRIALS[4], TRIALS[5]
    for trial in (done, failed, running):
        display.started(trial, None)
    display.started(resumed, Epoch(7, 10, {}))
    display.reported(done, top1(10))
    display.ended(done, State.DONE, top1(10), "")
    display.ended(failed, State.FAILED, None, "out of memory")
    display.reported(running, top1(3, value=41.25))
    display.gpus.text = "GPU memory 31 of 80 GB"
    file.seek(file.truncate(0) or 0)
    console.print(display._render())
    return file.getvalue()


def test_a_wide_terminal_shows_every_seed_and_the_decided_arms():
    said, head, baseline, lam = shown(verdicts={"cutmix · + lam": "win"}).splitlines()
    assert head.split() == ["arm", "seed", "0", "seed", "1", "seed", "2", "seed", "3", "verdict"]
    assert baseline.split() == ["cutmix", "·", "baseline", "✓", "71.50", "%", "✗", "failed", "·", "✓", "70.10"]
    assert lam.split() == ["cutmix", "·", "+", "lam", "3/10", "41.25", "%", "7/10", "·", "·", "win"]
    assert said.startswith("2 of 8 done, ")
    assert said.endswith(" left, 2 running, GPU memory 31 of 80 GB")
    assert [head.index(f"seed {seed}") for seed in range(4)] == [19, 33, 47, 61]  # whatever the values are
    assert "verdict" not in shown()


@pytest.mark.parametrize("verdicts", [{}, {"cutmix · + lam": "win"}, {"cutmix · baseline": "not decided yet"}])
def test_seeds_have_columns_where_every_arm_then_has_one_line(verdicts):
    lines = {width: shown(width, verdicts).splitlines() for width in range(72, 94)}
    wide = {width for width, (_, head, *_) in lines.items() if "seed 0" in head}
    assert min(wide) == 17 + 4 * 14 + max((2 + max(7, len(verdict)) for verdict in verdicts.values()), default=0)
    assert wide == set(range(min(wide), 94))
    assert {len(lines[width]) for width in wide} == {4}


def test_without_a_terminal_every_event_has_a_line_and_a_quiet_display_says_failures_alone():
    said = []
    for quiet in (False, True):
        console, file = console_of()
        with Display(console, Phase("1 of 8"), quiet) as display:
            first, second, third = TRIALS[:3]
            display.started(first, None)
            display.started(second, Epoch(3, 10, {}))
            display.crashed(second, "crashed, attempt 2 goes on")
            display.ended(first, State.PRUNED, top1(2, value=9.0), "")
            display.ended(second, State.FAILED, Epoch(4, 10, {}), "ValueError: no")
            display.ended(third, State.DONE, top1(10), "")
        said.append(file.getvalue().replace("cutmix · baseline · ", "").splitlines())
    failures = ["seed 1: crashed, attempt 2 goes on", "seed 1: failed: ValueError: no"]
    assert said[1] == failures
    assert said[0] == [
        "[1 of 8] seed 0: started",
        "[1 of 8] seed 1: started, goes on after epoch 3 of 10",
        failures[0],
        "[1 of 8] seed 0: pruned after epoch 2 of 10, 9.00 %",
        failures[1],
        "[1 of 8] seed 2: done, 71.50 %",
    ]


def test_without_a_terminal_an_epoch_has_a_line_after_a_long_silence(monkeypatch):
    """The log of a job would say nothing for hours."""
    now = 0.0
    monkeypatch.setattr(display.time, "monotonic", lambda: now)
    console, file = console_of()
    shown = Display(console, Phase("0 of 8", expected=8), quiet=False)
    for trial in TRIALS[:2]:
        shown.started(trial, None)
    for number, minutes in enumerate((1, 4, 5, 6, 9, 10), 1):
        now = 60.0 * minutes
        shown.reported(TRIALS[0], top1(number) if number < 6 else Epoch(number, 10, {}))
    assert file.getvalue().replace("cutmix · baseline · ", "").splitlines()[2:] == [
        "[0 of 8, 2 h 8 min left] seed 0: epoch 3 of 10, 71.50 %",
        "[0 of 8, 2 h 3 min left] seed 0: epoch 6 of 10",
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3_659, "1 h"),
        (18_600, "5 h 10 min"),
        (86_399, "23 h 59 min"),
        (86_400, "1 d"),
        (12 * 86_400 + 4 * 3_600 + 3_599, "12 d 4 h"),
    ],
)
def test_a_duration_is_said_to_two_units(seconds, words):
    assert display.duration(seconds) == words


def test_the_result_is_shown_once_it_is_there_and_a_metric_that_nobody_declares_as_a_number():
    last = Shown(TOP1, "test_top1_last")
    assert last.text({"test_top1": 70.0, "test_top1_last": 71.0}) == "71.00 %"
    assert last.text({"train_loss": 0.1}) == ""
    assert Shown(None, "rmse").text({"rmse": 0.123456}) == "0.1235"


def test_the_time_left_is_of_epochs_that_will_run_and_counts_none_twice(monkeypatch):
    now = 0.0
    monkeypatch.setattr(display.time, "monotonic", lambda: now)
    phase = Phase("1/4", TRIALS[:4], expected=3.5)  # half of one is in the journal
    shown = Display(console_of()[0], phase, quiet=False)
    shown.started(TRIALS[0], Epoch(5, 10, {}))
    shown.started(TRIALS[1], None)
    shown.ended(Trial("whole", "arm", {}, 0, {}), State.DONE, None, "")  # the journal completes it, and it is not run
    assert shown._progress() == "1/4, time left unknown"
    now = 60.0
    for number in (6, 7, 8):
        shown.reported(TRIALS[0], Epoch(number, 10, {}))
    shown.started(TRIALS[0], Epoch(6, 10, {}))  # its process was lost, and two epochs with it
    for number in (7, 8):
        shown.reported(TRIALS[0], Epoch(number, 10, {}))
    for number in (1, 2):
        shown.reported(TRIALS[1], Epoch(number, 10, {}))
    assert shown._progress() == "1/4, 6 min left"  # half a trial in a minute, and three are left
    shown.ended(TRIALS[1], State.FAILED, None, "broken")
    assert shown._progress() == "1/4, 4 min 24 s left"  # 2.2 trials
    shown.ended(TRIALS[0], State.DONE, None, "")
    for trial in TRIALS[2:4]:
        shown.started(trial, None)
        shown.reported(trial, Epoch(10, 10, {}))
        if trial is TRIALS[3]:
            assert shown._progress() == "1/4, nearly there"
        shown.ended(trial, State.DONE, None, "")
    assert shown._progress() == "1/4"


def test_a_narrow_terminal_shows_a_letter_for_each_seed():
    lines = shown(width=40, verdicts={"cutmix · baseline": "not decided"}).splitlines()
    *_, head, baseline, lam = lines
    assert head.split() == ["arm", "seeds", "verdict"]
    assert baseline.split() == ["cutmix", "·", "baseline", "✓✗·✓", "not", "decided"]
    assert lam.split() == ["cutmix", "·", "+", "lam", "37··"]
    assert display._short({0: Text("9/10"), 1: Text("10/10 70.10"), 2: Text("...")}).plain == "99."
    assert all(len(line) <= 40 for line in lines)


def test_a_table_that_is_higher_than_the_terminal_shows_its_progress_and_all_that_runs():
    console, file = console_of(force_terminal=True, legacy_windows=False)
    console.height = 10
    arms = [Trial(str(number), f"arm {number}", {}, 0, {}) for number in range(30)]
    with Display(console, Phase("0 of 30 done", arms), quiet=False) as display:
        display.started(arms[25], None)
        file.seek(file.truncate(0) or 0)
        display._live.refresh()
        said, head, *rows = file.getvalue().splitlines()
        file.seek(file.truncate(0) or 0)
        display.ended(arms[25], State.DONE, None, "")
    assert said.endswith("0 of 30 done, 1 running, 23 arms not shown")
    assert head.split() == ["arm", "seed", "0"]
    assert [row.split()[1] for row in rows] == ["0", "1", "2", "3", "4", "5", "25"]
    in_the_end = re.findall(r"arm (\d+) ", file.getvalue())[-30:]
    assert in_the_end == [str(number) for number in range(30)]


def test_a_terminal_without_these_letters_gets_others():
    assert "✓✗·✂".encode("ascii", OTHERS) == b"+x./"


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"train_loss": 0.1}, "done"),
        ({"test_top1": math.nan}, "done, not a number"),
        ({"test_top1": 0.0}, "done, 0.00 %"),
    ],
)
def test_a_trial_ends_with_its_value_if_it_has_one(metrics, words):
    console, file = console_of()
    display = Display(console, Phase("1 of 8 done", result="test_top1_last"), quiet=False)
    display.ended(TRIALS[0], State.DONE, Epoch(1, 1, metrics), "")
    assert file.getvalue() == f"[1 of 8 done] cutmix · baseline · seed 0: {words}\n"


@pytest.mark.parametrize(
    ("term", "quiet", "rows", "live", "lines"),
    [
        ("xterm-256color", False, TRIALS, True, False),
        ("xterm-256color", False, (), False, True),  # as of a search
        ("xterm-256color", True, TRIALS, False, False),
        ("dumb", False, TRIALS, False, True),
        ("unknown", False, TRIALS, False, True),
    ],
)
def test_without_a_table_there_are_lines_and_a_quiet_display_shows_nothing(term, quiet, rows, live, lines, monkeypatch):
    monkeypatch.setenv("TERM", term)
    console, file = console_of(force_terminal=True)
    with Display(console, Phase("0 of 8 done", rows, expected=8), quiet) as display:
        display.started(TRIALS[0], None)
    assert ("] cutmix · baseline · seed 0: started\n" in file.getvalue()) is lines
    assert ("\x1b[" in file.getvalue()) is live


def test_what_is_done_is_green(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[32m✓ 71.50 %" in shown(color_system="truecolor")


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("31744, 81559\n12288, 81559\n", "GPU memory 31 of 80 GB, 12 of 80 GB"),
        ("[N/A], [N/A]\n[N/A], 40960\n1024, 16384\n", "GPU memory 1 of 16 GB"),  # as for a card that is cut into slices
        ("No devices were found\n", ""),
        ("", ""),
    ],
)
def test_gpu_memory_in_words(answer, text):
    assert in_words(answer) == text


def test_gpu_memory_is_asked_of_the_driver_s_program(tmp_path, monkeypatch):
    monkeypatch.setattr(display, "EVERY_SECONDS", 0.01)
    (answer := tmp_path / "answer").write_text("31744, 81559\n")
    (program := tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\ncat '{answer}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TERM", "xterm-256color")
    with Display(console_of(force_terminal=True)[0], Phase("1 of 8"), quiet=False) as shown:
        wait_for(lambda: shown.gpus.text == "GPU memory 31 of 80 GB")
        answer.unlink()  # the program itself cannot be written while it runs
        wait_for(lambda: not shown.gpus.text)
