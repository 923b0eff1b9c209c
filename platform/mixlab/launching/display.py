"""The display of a running phase: a live table of arms by seeds, or one line per event without a terminal."""

import shutil
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mixlab.messages import counted, say
from mixlab.processes import repeated
from mixlab.spec.epoch import Epoch
from mixlab.spec.metric import Metric
from mixlab.spec.trial import State, Trial

MARKS = {State.DONE: ("✓", "green"), State.PRUNED: ("✂", "dim"), State.FAILED: ("✗", "red")}
SEED_WIDTH = 12  # characters of the column of a seed
EVERY_SECONDS = 2.0
SILENT_SECONDS = 300.0  # without a terminal, an epoch has a line if there was none for so long
QUERY = ("nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits")


@dataclass(frozen=True)
class Shown:
    """The metric that is shown."""

    metric: Metric | None  # by which its values are formatted; None if the trainable does not declare it
    result: str  # the name of a run's value, such as ``test_top1_median10``

    def text(self, metrics: Mapping[str, float]) -> str:
        """Return the result, or the latest value if there is none yet; empty without either."""
        names = (self.result, self.metric.name if self.metric else self.result)
        value = next((metrics[name] for name in names if name in metrics), None)
        if value is None:
            return ""
        return self.metric.text(value) if self.metric else f"{value:.4g}"


class Progress(Protocol):
    """What is shown of a phase."""

    rows: Sequence[Trial]  # the trials of the live table, in its order; may grow; empty without a table
    shown: Shown

    def done(self) -> Mapping[str, str]:
        """Return the value to show for each trial that has a row and that an earlier start finished, by key."""
        return {}

    def expected(self) -> float | None:
        """Return how many trials are to run, for the time left; None if nobody knows."""
        return None

    def counts(self) -> str:
        """Return the progress of the phase, in words."""

    def verdicts(self) -> Mapping[str, str]:
        """Return the verdict on every arm that needs no more seeds, by cell."""
        return {}


@dataclass
class Display:
    """The display; use it as a context, and report events to it."""

    console: Console
    phase: Progress
    quiet: bool  # whether to show only failures

    def __post_init__(self) -> None:
        self.gpus = GpuMemory()
        self.state: dict[str, Text] = {key: Text(f"✓ {value}", "green") for key, value in self.phase.done().items()}
        self.running: dict[str, float] = {}  # by key, the share of the epochs that is done
        self.expected = self.phase.expected()
        self.trained = 0.0  # trials that were trained since the start, in parts too
        self.started_at = self.said_at = time.monotonic()
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._live = Live(
            console=self.console, get_renderable=self._render, refresh_per_second=2, vertical_overflow="ellipsis"
        )

    def __enter__(self) -> "Display":
        if self._interactive:
            self._stack.enter_context(self.gpus.watched())
            self._stack.enter_context(self._live)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def started(self, trial: Trial, latest: Epoch | None) -> None:
        """Note that a trial runs from now on, after the latest epoch that has a checkpoint."""
        with self._lock:
            share = latest.number / latest.of if latest else 0.0
            self.running[trial.key] = max(share, self.running.get(trial.key, 0.0))  # one that crashed may repeat epochs
            self.state[trial.key] = Text(f"{latest.number}/{latest.of}" if latest else "...", "cyan")
        self._line(f"{trial.name}: started" + (f", goes on after {latest.in_words}" if latest else ""))

    def reported(self, trial: Trial, epoch: Epoch) -> None:
        """Note that a trial has finished an epoch."""
        with self._lock:
            before = self.running[trial.key]
            share = max(before, epoch.number / epoch.of)
            self.trained += share - before
            self.running[trial.key] = share
            value = self.phase.shown.text(epoch.metrics)
            self.state[trial.key] = Text(f"{epoch.number}/{epoch.of} {value}", "cyan")
        if time.monotonic() - self.said_at >= SILENT_SECONDS:
            self._line(f"{trial.name}: {epoch.in_words}" + (f", {value}" if value else ""))

    def crashed(self, trial: Trial, account: str) -> None:
        """Note that a trial will be tried again."""
        say(self.console, f"{trial.name}: {account}", style="yellow")

    def ended(self, trial: Trial, state: State, latest: Epoch | None, error: str) -> None:
        """Note that a trial is over."""
        value = self.phase.shown.text(latest.metrics) if latest else ""
        mark, colour = MARKS[state]
        with self._lock:
            rest = 1 - self.running.pop(trial.key, 1.0)  # what a failed trial has not trained
            if self.expected is not None:
                self.expected -= rest
            self.state[trial.key] = Text(f"{mark} {'failed' if error else value}".rstrip(), colour)
        if state is State.FAILED:
            say(self.console, f"{trial.name}: failed: {error}", style="red")
            return
        after = f" after {latest.in_words}" if latest and state is State.PRUNED else ""
        self._line(f"{trial.name}: {state.value}{after}" + (f", {value}" if value else ""))

    @property
    def _interactive(self) -> bool:
        terminal = self.console.is_terminal and not self.console.is_dumb_terminal
        return bool(self.phase.rows) and terminal and not self.quiet

    def _line(self, text: str) -> None:
        self.said_at = time.monotonic()
        if not self._interactive and not self.quiet:
            say(self.console, f"[{self._progress()}] {text}")

    def _progress(self) -> str:
        left = self._time_left()
        return f"{self.phase.counts()}, {left}" if left else self.phase.counts()

    def _time_left(self) -> str:
        if self.expected is None:
            return ""
        left = self.expected - self.trained
        if left <= 1e-9:
            return "nearly there" if self.running else ""
        if not self.trained:
            return "time left unknown"
        return f"{duration((time.monotonic() - self.started_at) / self.trained * left)} left"

    def _render(self) -> Group:
        """Return the progress and the table; while trials run, without idle arms for which the terminal has no line."""
        with self._lock:
            cells: dict[str, dict[int, Text]] = {}
            for trial in self.phase.rows:
                cells.setdefault(trial.cell, {})[trial.seed] = self.state.get(trial.key, Text("·", "dim"))
            busy = [trial.cell for trial in self.phase.rows if trial.key in self.running]
        over = max(0, len(cells) - (self.console.height - 3)) if busy else 0
        hidden = [cell for cell in reversed(cells) if cell not in busy][:over]
        for cell in hidden:
            del cells[cell]
        more = f"{counted(len(hidden), 'arm')} not shown" if hidden else ""
        summary = ", ".join(filter(None, [self._progress(), f"{len(busy)} running", self.gpus.text, more]))
        # Above the table, whose end is cut off where it is too high.
        return Group(Text(summary, "bold"), self._table(cells))

    def _table(self, cells: Mapping[str, Mapping[int, Text]]) -> Table:
        """Return the table of these arms, with a column for each seed if the terminal is wide enough."""
        verdicts = self.phase.verdicts()
        seeds = sorted({trial.seed for trial in self.phase.rows})
        needed = max(map(len, cells), default=0) + (SEED_WIDTH + 2) * len(seeds)
        if verdicts:
            needed += 2 + max(map(len, ("verdict", *verdicts.values())))
        wide = needed <= self.console.width
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("arm", overflow="fold")
        for name in [f"seed {seed}" for seed in seeds] if wide else ["seeds"]:
            table.add_column(name, min_width=SEED_WIDTH if wide else None, overflow="fold")
        if verdicts:
            table.add_column("verdict", overflow="fold")
        for cell, states in cells.items():
            row = [Text(cell)]
            row += [states.get(seed, Text("")) for seed in seeds] if wide else [_short(states)]
            row += [Text(verdicts.get(cell, ""))] if verdicts else []
            table.add_row(*row)
        return table


def _short(states: Mapping[int, Text]) -> Text:
    """Return a letter for each seed: its mark, or the share of its epochs that is done, in tenths."""
    marks = []
    for state in states.values():
        done, slash, of = state.plain.partition(" ")[0].partition("/")
        letter = str(min(9, 10 * int(done) // int(of))) if slash else state.plain[:1]
        marks.append(Text(letter, state.style))
    return Text().join(marks)


def duration(seconds: float) -> str:
    """Return seconds in words, to two units: ``45 s``, ``3 min 20 s``, ``5 h 10 min``, ``12 d 4 h``."""
    seconds = round(seconds)
    for name, size, small, small_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // small_size
            return f"{seconds // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{seconds} s"


class GpuMemory:
    """The memory in use; a thread asks for it inside ``watched``, because the answer may take a second."""

    def __init__(self) -> None:
        self.text = ""  # such as ``GPU memory 31 of 80 GB``; empty without a GPU, and before the first answer

    def watched(self) -> AbstractContextManager[None]:
        """Ask inside the block, if this machine has the program."""
        there = shutil.which(QUERY[0]) is not None
        return repeated(self._ask, EVERY_SECONDS, "GPU memory") if there else nullcontext()

    def _ask(self) -> None:
        try:
            done = subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True)
            self.text = in_words(done.stdout)
        except (OSError, subprocess.SubprocessError):
            self.text = ""


def in_words(answer: str) -> str:
    """Return the memory in use from lines of MiB ``used, total``; what a line does not say is left out."""
    lines = [[part.strip() for part in line.split(",")] for line in answer.splitlines()]
    used = [
        f"{int(one) / 1024:.0f} of {int(of) / 1024:.0f} GB"
        for one, of in (line for line in lines if len(line) == 2)
        if one.isdigit() and of.isdigit()
    ]
    return f"GPU memory {', '.join(used)}" if used else ""
