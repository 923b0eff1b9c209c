"""Measures what a trial costs the driver of a large study, and whether that grows: many short trials on several nodes.

    python tests/benchmarks/bench_events.py [--trials 2000] [--nodes 4] [--cpus 4]

A cluster of node processes on this machine, each with ``--cpus`` logical processors; a trial sleeps a second and
reports twice, each time with a checkpoint. While the study runs, its driver notes once a second how many trials have
ended, its processor time and its memory. Prints a line for each quarter of the trials, and how many GPUs one driver
could keep busy with trials of an hour: the reckoning takes its processor time a trial, and one core of it.
Where all slots together end more trials a second than the driver can serve, the wall time is the driver's.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from recording import arguments, record

from tests.servers import ray_cluster

STUDY = """
import json, os, sys, threading, time
from pathlib import Path

import psutil

from mixlab import Arm, Epoch, Metric, Study, main

trials, folder = int(sys.argv.pop(1)), Path(sys.argv.pop(1))


class Second:
    metrics = (Metric("score", higher_is_better=True, rules=("last",)),)

    def __call__(self, settings, seed, report, *, resume_from=None, data_root=None):
        for epoch in (1, 2):
            time.sleep(0.5)
            report(Epoch(epoch, 2, {"score": seed + epoch}), lambda at: (at / "training.pt").write_text("weights"))
        with (folder / "ended").open("a") as file:
            file.write("x")


def watch():
    process, ended = psutil.Process(), folder / "ended"
    while True:
        spent = process.cpu_times()
        line = [time.time(), ended.stat().st_size if ended.exists() else 0, spent.user + spent.system]
        with (folder / "driver").open("a") as file:
            file.write(json.dumps([*line, process.memory_info().rss / 2**20]) + "\\n")
        time.sleep(1)


threading.Thread(target=watch, daemon=True).start()
arms = (Arm("one", {"arm": 1}), Arm("other", {"arm": 2}))
main(Study(name="events", base={}, arms=arms, seeds=range(trials // 2)), Second())
"""
GPU_HOURS = 1.0  # assumed for a trial


def main() -> None:
    given = arguments(__doc__, trials=2000, nodes=4, cpus=4).parse_args()
    with tempfile.TemporaryDirectory() as name, ray_cluster.running() as cluster:
        folder = Path(name)
        (folder / "way.py").write_text(STUDY)
        for _ in range(given.nodes):  # one after another: Ray gives up a node that takes long to start
            cluster.add_worker("--num-cpus", str(given.cpus))
            cluster.wait()
        command = [sys.executable, "way.py", str(given.trials), str(folder), "--address", cluster.address, "--quiet"]
        done = subprocess.run(command, cwd=folder, env=cluster.environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stdout[-2000:] + done.stderr[-2000:])
        seen = [json.loads(line) for line in (folder / "driver").read_text().splitlines()]
    print(f"{given.trials} trials of a second on {given.nodes} nodes of {given.cpus} logical processors\n")
    print("| trials | s a trial, wall | ms a trial, driver's processor | driver, MiB |\n| --- | ---: | ---: | ---: |")
    last = next(number for number, (_, ended, *_) in enumerate(seen) if ended == given.trials)  # then comes the table
    wall, ended, spent, held = np.array(seen[: last + 1]).T
    costs = []
    for quarter in range(4):
        edges = given.trials * quarter / 4, given.trials * (quarter + 1) / 4
        inside = (ended > edges[0]) & (ended <= edges[1])
        lasted, cost = (np.ptp(of[inside]) / np.ptp(ended[inside]) for of in (wall, spent))
        costs.append(1000 * cost)
        print(f"| to {edges[1]:.0f} | {lasted:.3f} | {1000 * cost:.1f} | {held[inside].max():.0f} |")
    record("a trial that reports twice, processor time of the driver", costs, "ms")
    record("a trial's cost to the driver, last quarter / first", [costs[3] / costs[0]])
    record("memory of the driver, at the end / after a quarter", [held[-1] / held[ended > given.trials / 4][0]])
    at_once = 3600 * GPU_HOURS / (max(costs) / 1000)
    print(f"\nOn paper: {at_once:,.0f} trials of {GPU_HOURS:.0f} h at a time, each with two reports.")


if __name__ == "__main__":
    main()
