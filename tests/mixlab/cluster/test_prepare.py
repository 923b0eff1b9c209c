"""The data sets and weights that the cells of a study need are each fetched once."""

from pathlib import Path
from typing import Any

from mixlab.cluster import preparation
from mixlab.spec.complete import complete
from mixlab.spec.trial import Trial


def test_data_and_weights_are_had_once_each(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    class Toy:
        metrics = ()
        prepared = ("dataset", "backbone")

        def __call__(self) -> None:
            raise NotImplementedError

        def prepare(self, config: Any, data_root: Path) -> None:
            asked.append((config["dataset"], config["backbone"]))

    trials = [
        Trial("key", "arm", {}, seed, config := {"dataset": dataset, "backbone": backbone, "lr": seed}, config)
        for seed in (0, 1)
        for dataset in ("birds", "planes")
        for backbone in ("small", "large")
    ]
    preparation.prepare(complete(Toy()), trials, tmp_path)
    assert asked == [(d, b) for d in ("birds", "planes") for b in ("small", "large")]
