"""The one trainable of the tests that start studies but need no network, and the studies over it.

    python tests/toy.py NAME [options]     one of ``STUDIES``, in the folder that it is started in

The folder holds what its trials did (``notes``), and files by which a test steers them: in the epochs that ``hold``
names they wait, and ``fixed`` repairs what is faulty.
"""

import contextlib
import importlib
import json
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mixlab import Arm, Epoch, Float, Metric, Search, Study, main

FOLDER = Path.cwd()  # found in the driver, and carried to every worker with the class
TEST_TOP1 = "top-1 accuracy on the test set"


def score(config: Mapping[str, Any], seed: int, epoch: int) -> float:
    """Return the accuracy that the toy reports, in percent: best at zeta = peak and alpha = 0.5, rising by epoch."""
    off = math.log(config["zeta"] / config["peak"]) ** 2 + math.log(config["alpha"] / 0.5) ** 2
    swing = config["swing"] * math.sin(2 * (seed + 1) ** 2)  # from seed to seed, between -1 and 1
    return 80 - 3 * off - 20 / epoch + (seed - 1000) / 100 + config["lift"] + swing


DEFAULTS = {
    "epochs": 3,
    "pause": 0.0,  # seconds that an epoch takes
    "evaluate": "test",
    "validation": 0.0,
    "where": False,  # whether to report the GPU share and the node
    # The score: see ``score``.
    "zeta": 0.2,
    "peak": 0.2,
    "alpha": 0.5,
    "lift": 0.0,
    "swing": 0.0,
    # What goes wrong: the number of the epoch in which it does, or 0.
    "fault": 0,
    "poison": 0,
    "dies": 0,
    "greedy": False,  # whether half a GPU is too little memory
    "ballast": 0,  # bytes of a checkpoint
}


class Diverged(Exception):
    """The error that the toy raises if zeta is above 1.6."""


class Toy:
    """Trains nothing. Its checkpoint is the number of its last epoch, its network a line of text."""

    metrics = (
        Metric("test_top1", "%", higher_is_better=True, rules=("median10", "last", "best"), label=TEST_TOP1),
        Metric("val_top1", "%", higher_is_better=True),
    )
    held_out: Mapping[str, Any] = {"validation": 0.1, "evaluate": "validation"}
    final = (Diverged,)

    def __call__(self, config: Any, seed: int, report: Any, *, resume_from: Path | None = None, data_root: Any = None):
        done = int((resume_from / "epoch").read_text()) if resume_from else 0
        note("began", config=dict(config), seed=seed, done=done, threads=os.environ.get("MKL_NUM_THREADS"))
        for epoch in range(done + 1, config["epochs"] + 1):
            time.sleep(config["pause"])
            while held(seed, epoch):
                time.sleep(0.05)
            self.fail(config, epoch)
            note("epochs", seed=seed, epoch=epoch)
            value = score(config, seed, epoch)
            judged = "val_top1" if config["evaluate"] == "validation" else "test_top1"
            metrics = {"train_loss": 1 / epoch, judged: value, **(self.where() if config["where"] else {})}
            done = Epoch(epoch, config["epochs"], metrics, {"data": "toy"})
            report(done, lambda folder, epoch=epoch: self.save(folder, epoch, seed, config["ballast"]))
            note("reported", seed=seed, epoch=epoch)

    def fail(self, config: Mapping[str, Any], epoch: int) -> None:
        if epoch == config["poison"] and not (FOLDER / "poisoned").exists():
            (FOLDER / "poisoned").touch()
            os.environ["POISONED"] = "1"  # the environment is the process's, whatever a trial imports again
        if "POISONED" in os.environ:
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        if epoch == config["dies"] and not (FOLDER / "died").exists():
            (FOLDER / "died").touch()
            os.abort()
        if config["zeta"] > 1.6:
            raise Diverged("the training loss became nan")
        if epoch == config["fault"] and not (FOLDER / "fixed").exists():
            raise RuntimeError(f"broken in epoch {epoch}")
        if epoch == 2 and config["greedy"] and self.where()["share"] < 0.5:
            import torch

            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")

    def save(self, folder: Path, epoch: int, seed: int, ballast: int) -> None:
        (folder / "epoch").write_text(str(epoch))
        (folder / "model.pt").write_text(f"weights of seed {seed}")
        (folder / "optimiser").write_bytes(bytes(ballast))

    def where(self) -> dict[str, float]:
        """Return the GPU share and the node that Ray gave to this trial."""
        import ray.tune

        resources = ray.tune.get_context().get_trial_resources().required_resources
        return {"share": resources.get("GPU", 0), "node": int(ray.get_runtime_context().get_node_id()[:8], 16)}

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {**DEFAULTS, **config}

    def objectives(self, config: Mapping[str, Any]) -> list[str]:
        return ["val_top1", "val_top5"] if config.get("validation") else []

    def estimate_seconds(self, config: Any, data_root: Path) -> float:
        return 1.0

    def gpu_memory(self, config: Mapping[str, Any], data_root: Path) -> tuple[float, float]:
        return config["mib"], 16_000.0


def note(file: str, **content: Any) -> None:
    """Add a line to a file that ``notes`` reads."""
    with (FOLDER / file).open("a") as lines:
        lines.write(json.dumps(content, default=str) + "\n")


def notes(folder: Path, file: str) -> list[dict[str, Any]]:
    """Return the notes of trials: ``began`` every attempt, ``epochs`` every epoch, ``reported`` those saved."""
    with contextlib.suppress(FileNotFoundError):
        whole, _, _ = (folder / file).read_text().rpartition("\n")  # the last line may be half written
        return [json.loads(line) for line in whole.splitlines()]
    return []


def begun(folder: Path) -> list[dict[str, Any]]:
    """Return the configuration, the seed and the last epoch done of every attempt of a trial."""
    return [{**each["config"], "seed": each["seed"], "done": each["done"]} for each in notes(folder, "began")]


def epochs_of(folder: Path) -> dict[int, list[int]]:
    """Return the epochs that each seed was trained, in order."""
    found: dict[int, list[int]] = {}
    for each in notes(folder, "epochs"):
        found.setdefault(each["seed"], []).append(each["epoch"])
    return found


def hold(folder: Path, epoch: int, seeds: tuple[int, ...] | None = None) -> None:
    """Let the trials of ``seeds``, or all, wait in an epoch until ``release``."""
    (folder / "hold.new").write_text(json.dumps([epoch, seeds]))
    (folder / "hold.new").rename(folder / "hold")


def release(folder: Path) -> None:
    (folder / "hold").unlink()


def held(seed: int, epoch: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        at, seeds = json.loads((FOLDER / "hold").read_text())
        return epoch == at and (seeds is None or seed in seeds)
    return False


def _study(base: Mapping[str, Any], arms: tuple[Arm, ...], seeds: int, name: str = "toy") -> Study:
    return Study(name=name, base=base, arms=arms, seeds=range(seeds))


SEARCH = Search(
    study=_study({"epochs": 9}, (Arm("low", {"peak": 0.2}), Arm("high", {"peak": 0.8})), seeds=2),
    space={"zeta": Float(0.05, 2, log=True), "alpha": Float(0.1, 4, log=True)},
    objective="val_top1",
    search_seeds=(1000,),
    budget=16,
)


def _slow(search: Search, pause: float, **changes: Any) -> Search:
    return replace(search, study=search.study.with_base(pause=pause), **changes)


PLAIN = (Arm("plain", {}),)
STUDIES: dict[str, Callable[[], Study | Search]] = {
    "faulty": lambda: _study(
        {},
        (Arm("poisoned", {"poison": 2}), Arm("sound", {}), Arm("faulty", {"fault": 3}), Arm("dying", {"dies": 2})),
        seeds=2,
    ),
    "large": lambda: _study({"epochs": 3, "ballast": 700_000}, PLAIN, seeds=1),
    "packed": lambda: _study(
        {"epochs": 2, "mib": 1_000.0, "where": True},
        (Arm("large", {"mib": 4_000.0}), Arm("greedy", {"greedy": True})),
        seeds=1,
    ),
    "placed": lambda: _study({"epochs": 2, "where": True}, (*PLAIN, Arm("other", {"peak": 1.0})), seeds=2),
    "sequential": lambda: _study(
        {"epochs": 2}, (*PLAIN, Arm("clear", {"lift": 2.0}), Arm("unsure", {"lift": 0.7, "swing": 1.2})), seeds=2
    ),
    "recorded": lambda: _study({"epochs": 14, "pause": 0.2}, PLAIN, seeds=4, name=FOLDER.name),
    "search": lambda: SEARCH,
    "slow search": lambda: _slow(SEARCH, 0.1),
    "search over two seeds": lambda: _slow(SEARCH, 0.1, search_seeds=(1000, 1001)),
    "racing search": lambda: replace(
        SEARCH,
        study=_study(
            {"epochs": 2, "swing": 1.0}, (Arm("low", {"peak": 0.2}), Arm("high", {"peak": 0.8, "lift": 3.0})), seeds=2
        ),
        space={"zeta": Float(0.1, 1.6, log=True)},
        search_seeds=range(1000, 1004),
        budget=12,
        concurrent=1,
        scheduler="none",
    ),
    "short search": lambda: replace(
        SEARCH,
        study=_study({"epochs": 4}, PLAIN, seeds=1, name="search"),
        space={"zeta": Float(0.1, 1.0)},
        budget=3,
        concurrent=1,
        scheduler="none",
    ),
}

# The environment may change these, for tests that would wait for long.
LIMITS = {
    "DRAIN_SECONDS": "mixlab.launching.run_phase",
    "BEAT_SECONDS": "mixlab.processes",
    "WATCH_SECONDS": "mixlab.processes",
}

if __name__ == "__main__":
    name = sys.argv.pop(1)
    for limit, module in LIMITS.items():
        if limit in os.environ:
            setattr(importlib.import_module(module), limit, float(os.environ[limit]))
    main(STUDIES[name](), Toy())
