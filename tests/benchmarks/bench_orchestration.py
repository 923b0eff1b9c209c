"""Measures what the platform costs besides the trials: the same trials by Mixlab and by bare Ray Tune, side by side.

    python tests/benchmarks/bench_orchestration.py                                         about 4 minutes
    python tests/benchmarks/bench_orchestration.py --seconds 60 --ways "Mixlab, HTTP"      about 12 minutes

A trial sleeps, as a processor does while a GPU works, and reports once a second, each time with a checkpoint. Three
ways: bare Ray Tune, which tracks nothing; Mixlab with a SQLite file; Mixlab with an MLflow server over HTTP. Each is a
process of its own, from its start to its end, with table and page. Prints a Markdown table.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import arguments, record

from mixlab.cluster.resources import cpu_count
from tests.servers import mlflow_server

# Both scripts begin so, and run `epochs` seconds of sleep, with a report and a checkpoint after each.
TRIAL = """
import sys, tempfile, time
from pathlib import Path

trials, epochs, times = int(sys.argv.pop(1)), int(sys.argv.pop(1)), Path(sys.argv.pop(1))

def work(report):
    begin = time.time()
    for epoch in range(1, epochs + 1):
        time.sleep(1)
        report(epoch, {"train_loss": 1.0, "test_top1": 50.0})
    with times.open("a") as file:
        file.write(f"{time.time() - begin}\\n")
"""
BARE = """
from ray import tune

def trial(config):
    import torch  # as a trial does

    def report(epoch, metrics):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "training.pt").write_text("weights")
            tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))

    work(report)

tune.Tuner(
    tune.with_resources(trial, {"cpu": 1}),
    param_space={"seed": tune.grid_search(list(range(trials)))},
    tune_config=tune.TuneConfig(reuse_actors=True),
    run_config=tune.RunConfig(
        storage_path=str(Path("results").absolute()), checkpoint_config=tune.CheckpointConfig(num_to_keep=1), verbose=0
    ),
).fit()
"""
STUDY = """
from mixlab import Arm, Epoch, Metric, Study, main

class Sleep:
    metrics = (Metric("test_top1", "%", higher_is_better=True, rules=("median10",)), Metric("train_loss"))

    def __call__(self, settings, seed, report, *, resume_from=None, data_root=None):
        save = lambda folder: (folder / "training.pt").write_text("weights")
        work(lambda epoch, metrics: report(Epoch(epoch, epochs, metrics), save))

arms = (Arm("one", {"arm": 1}), Arm("other", {"arm": 2}))
main(Study(name="sleep", base={}, arms=arms, seeds=range(trials // 2)), Sleep())
"""
WAYS = ("bare Ray Tune", "Mixlab, SQLite", "Mixlab, HTTP")


def main() -> None:
    parser = arguments(__doc__, trials=20, seconds=5)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    given = parser.parse_args()
    slots = cpu_count()
    ideal = -(-given.trials // slots) * given.seconds
    with (
        tempfile.TemporaryDirectory() as folder,
        mlflow_server.running(f"sqlite:///{folder}/server.db", Path(folder), os.environ) as server,
    ):
        everything = zip(WAYS, ((BARE, ()), (STUDY, ()), (STUDY, ("--tracking-uri", server.uri))), strict=True)
        found = {way: timed(Path(folder) / way, *what, given) for way, what in everything if way in given.ways}
    print(f"{given.trials} trials of {given.seconds} s, {slots} at a time, a report a second; the ideal is {ideal} s\n")
    print("| way | wall time, s | over the ideal | a trial, s | over its sleep |\n| --- | ---: | ---: | ---: | ---: |")
    for way, (wall, own) in found.items():
        record(f"{given.trials} trials of {given.seconds} s, {way} / ideal", [wall / ideal])
        print(
            f"| {way} | {wall:.1f} | {100 * (wall / ideal - 1):.1f} % "
            f"| {own:.3f} | {100 * (own / given.seconds - 1):.2f} % |"
        )
    bare = found.pop("bare Ray Tune", None)
    for way, (wall, _) in found.items() if bare else ():
        print(f"\n{way}: {(wall - bare[0]) / given.trials:.2f} s more a trial than bare Ray Tune, with table and page.")


def timed(folder: Path, script: str, options: tuple[str, ...], given: argparse.Namespace) -> tuple[float, float]:
    """Return the seconds from start to end of ``script``, and of a trial in the mean by its own clock."""
    folder.mkdir()
    (folder / "way.py").write_text(TRIAL + script)
    arguments = [str(given.trials), str(given.seconds), str(folder / "times")]
    command = [sys.executable, "way.py", *arguments, *options]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    wall = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    own = [float(line) for line in (folder / "times").read_text().split()]
    assert len(own) == given.trials
    return wall, sum(own) / len(own)


if __name__ == "__main__":
    main()
