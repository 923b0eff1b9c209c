"""Measures how long a search takes to claim its next trial, when it has had thousands.

    python tests/benchmarks/bench_claims.py [--trials 5000] [--claims 20] [--samplers random,tpe]

Fills the journal of a search of two arms with finished trials, then claims and ends one after another, which another
driver could do as well: the lock, the orphans, the draw and the journal are part of it. Expected: under 50 ms.
"""

import gc
import tempfile
import time
from pathlib import Path

import optuna
from recording import arguments, record

from mixlab.cli import GARBAGE
from mixlab.search.history import DRIVER, KEY, History
from mixlab.spec.trial import State
from tests.mixlab.search_toy import SPACE, TRAIN, search, store_of


def fill(history: History, count: int) -> None:
    """Give every arm its share of ``count`` trials that have ended."""
    distributions = {
        key: optuna.distributions.FloatDistribution(of.low, of.high, log=of.log) for key, of in SPACE.items()
    }
    for name, arm in history.arms.items():
        for number in range(count // len(history.arms)):
            point = {"zeta": 0.05 + number / count, "alpha": 0.1 + number / count}
            attrs = {DRIVER: history.drivers.me, KEY: f"{name}{number}"}
            arm.add_trial(
                optuna.trial.create_trial(params=point, distributions=distributions, value=50.0, user_attrs=attrs)
            )


def main() -> None:
    given = arguments(__doc__, trials=5000, claims=20, samplers="random,tpe").parse_args()
    gc.set_threshold(GARBAGE)  # as a driver collects
    print(f"A search that has had {given.trials} trials, {given.claims} claims\n")
    print("| sampler | ms a claim, median | longest |\n| --- | ---: | ---: |")
    for sampler in given.samplers.split(","):
        with tempfile.TemporaryDirectory() as folder:
            wanted = search(budget=2 * given.trials, sampler=sampler, scheduler="none")
            history = History(wanted, TRAIN, store_of("journal", Path(folder)))
            with history.drivers.joined():
                fill(history, given.trials)
                history.claim()  # reads the journal
                spent = []
                for _ in range(given.claims):
                    start = time.perf_counter()
                    claim = history.claim()
                    spent.append(1000 * (time.perf_counter() - start))
                    assert claim is not None
                    history.tell(claim, State.DONE, 50.0)
        median = record(f"claim the next trial after {given.trials}, {sampler}", spent, "ms")
        print(f"| {sampler} | {median:.1f} | {max(spent):.1f} |")


if __name__ == "__main__":
    main()
