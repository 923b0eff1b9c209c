"""A study's wall time against the time its trials spend training: what the orchestration costs.

    python tests/benchmarks/bench_study.py [--seeds 2] [--epochs 3] [--train-images 2000]

Runs the CIFAR-10 ablation in a folder of its own, twice: whole, and again when nothing is left to do. Prints a
Markdown table. The ideal is the trials' own time, training and evaluation, divided by how many run at a time.
"""

import subprocess
import sys
import tempfile
from functools import partial

from recording import ROOT, arguments, record, seconds_of

from mixlab.cluster.resources import cpu_count
from mixlab.tracking import store
from mixlab.tracking.stored_runs import experiment_id, search_runs


def main() -> None:
    given = arguments(__doc__, seeds="2", epochs="3", train_images="2000").parse_args()
    with tempfile.TemporaryDirectory() as folder:
        uri = f"sqlite:///{folder}/mlflow.db"
        command = [sys.executable, str(ROOT / "studies" / "ablation_cifar100.py"), "--preset", "smoke"]
        command += ["--dataset", "cifar10", "--data-root", str(ROOT / "data"), "--mixers", "cutmix"]
        command += ["--seeds", given.seeds, "--epochs", given.epochs, "--train-images", given.train_images]
        command += ["--tracking-uri", uri, "--storage", f"{folder}/results", "--quiet"]
        start = partial(subprocess.run, command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        whole, again = seconds_of(start), seconds_of(start)
        client = store.connect(uri)
        runs = search_runs(client, experiment_id(client, "ablation_cifar100"), {"mixlab.level": "seed"})
        computing = sum(
            metric.value
            for run in runs
            for name in ("train_seconds", "evaluation_seconds")
            for metric in client.get_metric_history(run.run_id, name)
        )
        busy = sum(run.end_time - run.start_time for run in runs) / 1000
    slots = cpu_count()
    print(f"Study of {len(runs)} trials, {given.epochs} epochs of {given.train_images} images, {slots} at a time\n")
    print("| what | seconds | of the wall time |\n| --- | ---: | ---: |")
    for what, seconds in (
        ("wall time of the study, start of Ray, table and plots included", whole),
        (f"training and evaluation, all trials, divided by {slots}", computing / slots),
        (f"trials from start to end in MLflow, divided by {slots}", busy / slots),
        ("the same command again, nothing left to train", again),
    ):
        record(f"a study of {len(runs)} trials: {what}", [seconds], "s")
        print(f"| {what} | {seconds:.1f} | {100 * seconds / whole:.0f} % |")


if __name__ == "__main__":
    main()
