"""What the terminal shows of a running study: arms by seeds, live; or a line an event where there is no terminal."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mixlab.spec.study import Trial

METRIC = "test_top1"  # shown of every epoch, in percent


class Display:
    """Use as a context; tell it what happens.

    Args:
        console: where to.
        trials: of the whole plan, in the order of the table.
        done: by key, the value to show of a trial that an earlier start finished.
        quiet: only failures.
    """

    def __init__(self, console: Console, trials: Sequence[Trial], done: Mapping[str, str], quiet: bool) -> None:
        self.console = console
        self.quiet = quiet
        self.trials = trials
        self.state: dict[str, Text] = {trial.key: Text("·", "dim") for trial in trials}
        self.state |= {key: Text(f"✓ {value}", "green") for key, value in done.items()}
        self.finished = len(done)
        self.failed = 0
        self.epoch: dict[str, int] = {}  # of running trials
        self.epochs_done = 0
        self.epochs_left = 0
        self.started_at = time.monotonic()
        self._lock = threading.Lock()
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=2, vertical_overflow="ellipsis"
        )

    def __enter__(self) -> "Display":
        self.started_at = time.monotonic()
        if self._interactive:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._interactive:
            self._live.stop()

    def expect(self, epochs: int) -> None:
        """How many epochs are to run from now on, for the time left."""
        self.epochs_left = epochs

    def started(self, trial: Trial, epochs: int) -> None:
        """A trial runs from now on, of which so many epochs are done."""
        with self._lock:
            self.epoch[trial.key] = epochs
            self.state[trial.key] = Text(f"{epochs}/{trial.config.get('epochs', '?')}", "cyan")
        self._line(f"{trial.name}: started" + (f", goes on after epoch {epochs}" if epochs else ""))

    def reported(self, trial: Trial, metrics: Mapping[str, Any]) -> None:
        """A trial has finished an epoch."""
        with self._lock:
            self.epoch[trial.key] = metrics["epoch"]
            self.epochs_done += 1
            self.epochs_left -= 1
            value = f" {metrics[METRIC]:.2f}" if METRIC in metrics else ""
            self.state[trial.key] = Text(f"{metrics['epoch']}/{trial.config.get('epochs', '?')}{value}", "cyan")

    def crashed(self, trial: Trial, account: str) -> None:
        """A trial will be tried again."""
        self.console.print(f"{trial.name}: {account}", style="yellow", markup=False, soft_wrap=True)

    def done(self, trial: Trial, value: str) -> None:
        """A trial is complete."""
        with self._lock:
            self.finished += 1
            self.epoch.pop(trial.key, None)
            self.state[trial.key] = Text(f"✓ {value}", "green")
        self._line(f"{trial.name}: done, {value} %")

    def gave_up(self, trial: Trial, error: str) -> None:
        """A trial has failed for good."""
        with self._lock:
            self.failed += 1
            self.epoch.pop(trial.key, None)
            self.state[trial.key] = Text("✗ failed", "red")
        self.console.print(f"{trial.name}: failed: {error}", style="red", markup=False, highlight=False)

    @property
    def _interactive(self) -> bool:
        return self.console.is_terminal and not self.quiet

    def _line(self, text: str) -> None:
        if not self.console.is_terminal and not self.quiet:
            self.console.print(f"[{self._counts()}] {text}", markup=False, highlight=False, soft_wrap=True)

    def _counts(self) -> str:
        counts = f"{self.finished}/{len(self.trials)} done"
        if self.failed:
            counts += f", {self.failed} failed"
        return f"{counts}, {self._time_left()}"

    def _time_left(self) -> str:
        if not self.epochs_done or self.epochs_left <= 0:
            return "time left unknown" if self.epochs_left > 0 else "nearly there"
        seconds = (time.monotonic() - self.started_at) / self.epochs_done * self.epochs_left
        return f"{duration(seconds)} left"

    def _render(self) -> Group:
        with self._lock:
            cells: dict[str, dict[int, Text]] = {}
            for trial in self.trials:
                cells.setdefault(trial.cell, {})[trial.seed] = self.state[trial.key]
            seeds = sorted({trial.seed for trial in self.trials})
            running = len(self.epoch)
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("arm")
        for seed in seeds:
            table.add_column(f"seed {seed}", min_width=12)
        for cell, states in cells.items():
            table.add_row(cell, *(states.get(seed, Text("")) for seed in seeds))
        return Group(table, Text(f"{self._counts()}, {running} running", "bold"))


def duration(seconds: float) -> str:
    """Seconds in words, to two units: ``45 s``, ``3 min 20 s``, ``5 h 10 min``, ``12 d 4 h``."""
    seconds = round(seconds)
    for name, size, small, small_size in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            rest = seconds % size // small_size
            return f"{seconds // size} {name}" + (f" {rest} {small}" if rest else "")
    return f"{seconds} s"
