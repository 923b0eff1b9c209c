"""Measures what the events of a trial cost the driver without Ray, and whether that grows with the trials before it.

    python tests/benchmarks/bench_driver.py [--trials 2000]

The source, the events, the session and the writer to an SQLite store of MLflow are those of a study; a trial starts,
reports twice and ends, and then the store has all of it. Prints the processor time a trial and the memory at every
tenth of the trials; both are expected to stay as they are, and a trial to take under 50 ms.
"""

import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import psutil
from recording import arguments, record
from rich.console import Console

from mixlab import Epoch, Options, provenance
from mixlab.cluster.events import Events
from mixlab.launching.display import Display
from mixlab.launching.phase import ListedTrials
from mixlab.launching.session import Session
from mixlab.launching.start import Start
from mixlab.storage.journal import Storage
from mixlab.tracking import store
from mixlab.tracking.mirrors import opened
from mixlab.tracking.tracker import Tracker
from tests.mixlab.spec.minimal import STUDY, TRAIN

WRITE_SECONDS = 60.0  # the most for one trial


def main() -> None:
    given = arguments(__doc__, trials=2000).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        events, tracker = driver(Path(folder), given.trials)
        spent, held = [], []
        for _ in range(given.trials):
            start = time.process_time()
            trial = events.next().trial  # type: ignore[union-attr]
            events.listener.started(trial)
            for number in (1, 2):
                events.reported(trial, Epoch(number, 2, {"rmse": float(trial.seed)}))
            events.completed(trial, "")
            assert tracker.writer.drain(WRITE_SECONDS)
            spent.append(1000 * (time.process_time() - start))
            held.append(psutil.Process().memory_info().rss / 2**20)
    print("| trials | ms a trial, driver's processor | driver, MiB |\n| --- | ---: | ---: |")
    tenth = given.trials // 10
    medians = [statistics.median(spent[first : first + tenth]) for first in range(0, 10 * tenth, tenth)]
    for number, median in enumerate(medians, 1):
        print(f"| to {number * tenth} | {median:.1f} | {held[number * tenth - 1]:.0f} |")
    record("events of a trial in the driver, without Ray", medians, "ms")
    record("events of a trial, last tenth of the trials / first", [medians[-1] / medians[0]])
    record("memory of the driver without Ray, at the end / after a tenth", [held[-1] / held[tenth - 1]])


def driver(folder: Path, count: int) -> tuple[Events, Tracker]:
    """Return the events of a study of ``count`` trials, and what writes them to a new store."""
    study = replace(STUDY, seeds=range(count // 2))
    storage = Storage(str(folder / "results"), study.name)
    console = Console(quiet=True)
    start = Start(study.name, TRAIN, Options(storage=str(folder / "results")), console, Path(__file__))
    phase = ListedTrials(study, study.trials(TRAIN), start, {}, {})
    client = store.connect(f"sqlite:///{folder / 'mlflow.db'}")
    tracker = Tracker(client, phase.tracked, provenance.collect(Path(__file__), TRAIN.train))
    tracker.open()
    display = Display(console, phase, quiet=True)
    session = Session(tracker.trials, storage, display, opened((), study.name, folder, print), keep_files=True)
    return Events(phase, session, lambda: 4), tracker


if __name__ == "__main__":
    main()
