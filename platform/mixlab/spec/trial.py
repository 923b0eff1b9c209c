"""One training run of a study, its names, its key, and its state: one word for one state, wherever it is shown or read.

The key is a hash of everything that determines the run's numbers, the resolved configuration and the seed, and of
nothing else.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from mixlab.spec import user_input
from mixlab.spec.trainable import Config


class State(Enum):
    """The state of a trial."""

    PENDING = "pending"  # it was never begun
    RUNNING = "running"
    INTERRUPTED = "interrupted"  # it was begun, and continues at the next start
    DONE = "done"
    PRUNED = "pruned"  # it was stopped early by the search
    FAILED = "failed"

    @property
    def over(self) -> bool:
        """Return whether the trial has ended for good."""
        return self in (State.DONE, State.PRUNED, State.FAILED)


@dataclass(frozen=True)
class Trial:
    """One training run of a study."""

    key: str
    arm: str
    levels: Mapping[str, str]  # factor to level
    seed: int
    config: Config  # resolved, flat
    settings: Any = None  # the same in the trainable's form

    @property
    def cell(self) -> str:
        """Return the row of the run among its seeds, such as ``cutmix · + lam``."""
        return cell_name(self.levels.values(), self.arm)

    @property
    def name(self) -> str:
        """Return the name of the run for people."""
        return f"{self.cell} · seed {self.seed}"


def cell_name(levels: Iterable[str], arm: str) -> str:
    """Return the name of a cell, such as ``cutmix · + lam``."""
    return " · ".join((*levels, arm))


def trial_key(hashed: Config, seed: int) -> str:
    """Return 16 hexadecimal digits of the SHA-256 of what determines a run: its hashed configuration, and the seed."""
    return digest({"config": dict(hashed), "seed": seed})


def digest(value: Any) -> str:
    """Return 16 hexadecimal digits that identify any JSON value, whatever the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=user_input.plain)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
