"""The part of a run's configuration that says how a gradient becomes a step."""

from dataclasses import dataclass
from typing import Literal

from trainables.ranges import NotNegative, Positive, ShareBelowOne


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """The options that turn a gradient into a step."""

    optimiser: Literal["sgd", "adamw", "lamb"] = "sgd"
    momentum: ShareBelowOne = 0.9  # for SGD; the other optimisers do not read it
    nesterov: bool = False  # Nesterov's form of that momentum
    weight_decay: NotNegative = 1e-4
    weight_decay_on: Literal["all", "matrices"] = "all"  # matrices: not norms, biases, embeddings or layer scales
    grad_clip: Positive | None = None  # the greatest length of the gradient of all weights together
    ema: ShareBelowOne = 0.0  # the decay of the moving average of the weights, which is then tested; 0: off


def check_optimiser(config: OptimiserConfig) -> None:
    """Raise ``ValueError``, one sentence, for values that do not fit together."""
    if config.nesterov and not config.momentum and config.optimiser == "sgd":
        raise ValueError(f"nesterov needs a momentum above 0, got {config.momentum}")
