"""A trainable of a few lines that has nothing to do with images, a study and a search of it.

    python tests/mixlab/regressor.py study|search [options]

It fits a line by gradient descent: its metric is the rmse, in kilograms, of which less is better; it reports no
training loss, has no key ``epochs``, and says in a word which solver it used.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from mixlab import Arm, Epoch, Float, Metric, Search, Study, main

STEPS = 5


class Line:
    """Fits y = a x + b to noisy points, by ``STEPS`` epochs of gradient descent."""

    metrics = (
        Metric("rmse", "kg", digits=3, higher_is_better=False, rules=("last", "best", "median2")),
        Metric("slope", "kg/m", digits=3),
    )

    def __call__(
        self, settings: Any, seed: int, report: Any, *, resume_from: Path | None = None, data_root: Path = Path("data")
    ) -> None:
        rng = np.random.default_rng(seed)
        x = rng.uniform(-1, 1, 50)
        y = 3 * x + 1 + rng.normal(0, 0.1, 50)
        weights, done = np.zeros(2), 0
        if resume_from is not None:
            saved = np.load(resume_from / "weights.npy")
            weights, done = saved[:2], int(saved[2])
        for number in range(done + 1, STEPS + 1):
            error = weights[0] * x + weights[1] - y
            weights = weights - settings["step"] * np.array([(error * x).mean(), error.mean()])
            rmse = np.sqrt(np.mean((weights[0] * x + weights[1] - y) ** 2))

            def save(folder: Path, weights: Any = weights, number: int = number) -> None:
                np.save(folder / "weights.npy", np.array([*weights, number]))

            report(Epoch(number, STEPS, {"rmse": rmse, "slope": weights[0]}, {"solver": "gradient descent"}), save)


study = Study(
    name="line",
    base={"step": 0.1},
    arms=(Arm("small steps", {}), Arm("it's [5 %] of $1_000", {"step": 0.6}), Arm("none", {"step": 0.0})),
    seeds=range(6),
)
search = Search(
    study=Study(
        name="line search",
        base={},
        factors={"rmse": {"short": {"span": 1}, "long": {"span": 2}}},  # a factor by the name of a metric
        arms=(Arm("plain", {}), Arm("twice", {"twice": True})),
        seeds=range(2),
    ),
    space={"step": Float(0.01, 1.0, log=True)},
    budget=12,
    scheduler="none",
)

if __name__ == "__main__":
    main({"study": study, "search": search}[sys.argv.pop(1)], Line())
