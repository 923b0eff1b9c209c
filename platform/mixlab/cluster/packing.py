"""Decides how many trials share a GPU: the memory that one needs, as measured, against the GPU's free memory."""

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ray.exceptions import RayError
from rich.console import Console

from mixlab.cluster import connect, nodes
from mixlab.cluster.resources import STEPS, Share, checked_share
from mixlab.errors import BadInput, first_line
from mixlab.messages import counted, say
from mixlab.options import AUTO, Options
from mixlab.spec.complete import CompleteTrainable
from mixlab.spec.trial import Trial

MARGIN = 0.1  # the share of a GPU's free memory left for fragments, and for steps that need more than those measured
ABREAST = 8  # trials measured at once on a GPU: each is a process that takes longer to start than to measure
# The messages of torch's allocator, CUDA and its libraries on a full GPU; some of them call it an internal error. Where
# no algorithm gets its memory, cuDNN finds no engine.
FULL = re.compile(
    r"^torch\.(cuda\.)?OutOfMemoryError"
    r"|^(RuntimeError|torch\.(accelerator\.)?AcceleratorError): (CUDA( driver)?|cu\w+) error: "
    r"(out of memory|CU\w+_(ALLOC_FAILED|NOT_INITIALIZED|INTERNAL_ERROR))"
    r"|Triton Error \[CUDA\]: out of memory"  # of what ``compile=true`` has compiled
    r"|^RuntimeError: (GET|FIND) was unable to find an engine",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Packing:
    """The share of a GPU that each trial gets."""

    needed: float  # MiB that a trial of ``cell`` needs
    free: float  # MiB free on the GPU that has least
    cell: str  # the cell whose trials need most

    @property
    def count(self) -> int:
        """Return the number of trials that share a GPU, at least one, and no more than Ray can count."""
        return min(STEPS, max(1, int(self.free * (1 - MARGIN) / self.needed)))

    @property
    def gpus(self) -> float:
        """Return the GPUs that each trial requests, rounded down so that ``count`` of them are at most one GPU."""
        return math.floor(STEPS / self.count) / STEPS

    def __str__(self) -> str:
        """Return one line for the terminal."""
        return (
            f"{counted(self.count, 'trial')} to a GPU: {self.cell}, which needs most, "
            f"takes {self.needed:,.0f} MiB (measured); "
            f"a GPU has {self.free:,.0f} MiB free, of which {MARGIN * 100:.0f} % stay so."
        )


def share_of(
    trials: Sequence[Trial],
    train: CompleteTrainable,
    resources: Mapping[str, float],
    options: Options,
    console: Console,
) -> Share:
    """Return the resources of each of ``trials`` on the connected cluster; measured, if the options ask for that."""
    share = checked_share(options.cpus_per_trial, options.gpus_per_trial, resources, "the Ray cluster")
    # One node must have room for a trial, which cannot run on several.
    every = nodes.resources()
    with_gpus = [node for node in every if node.get("GPU", 0) >= share.gpus]
    where = "any node of the Ray cluster" + (" with such GPUs" if share.gpus and with_gpus else "")
    most = {unit: max(node.get(unit, 0) for node in with_gpus or every) for unit in ("CPU", "GPU")}
    checked_share(share.cpus, share.gpus, most, where)
    if options.gpus_per_trial != AUTO or not share.gpus:
        return share
    with console.status("measuring the GPU memory of a trial of each arm ..."):
        packing = measure(trials, train, share, Path(options.data_root).absolute())
    if not options.quiet:
        say(console, str(packing))
    return replace(share, gpus=packing.gpus)


def measure(trials: Sequence[Trial], train: CompleteTrainable, whole: Share, data_root: Path) -> Packing:
    """Measure a trial of every cell on the connected cluster, and the one that needs most on every node with a GPU.

    It calls the trainable's ``gpu_memory`` with the share ``whole``: the processors of a trial, and one GPU.

    Raises:
        BadInput: a trial does not fit, or its memory cannot be measured.
    """
    settings = {trial.cell: trial.settings for trial in trials}
    memory = partial(train.gpu_memory, data_root=data_root)
    try:
        needed = _needed(memory, settings.values(), whole)
        cell = list(settings)[needed.index(max(needed))]
        found = connect.on_every_gpu_node(memory, settings[cell], whole)
    except (ValueError, OSError, RayError) as error:
        raise BadInput(f"--gpus-per-trial {AUTO}: {first_line(error)}") from error
    if not found:
        raise BadInput(f"--gpus-per-trial {AUTO}: every node with a GPU has left the cluster; start one again")
    return min((Packing(needed, free, cell) for needed, free in found), key=lambda packing: packing.count)


def _needed(memory: Callable[[Any], tuple[float, float]], settings: Collection[Any], whole: Share) -> list[float]:
    """Return the MiB that each trial needs, several measured at once, or one by one if they do not fit together."""
    try:
        found = connect.map_on(memory, settings, replace(whole, gpus=whole.gpus / ABREAST))
    except ValueError:
        found = connect.map_on(memory, settings, whole)
    return [needed for needed, _ in found]


def ran_out(traceback: str) -> bool:
    """Return whether a traceback ends in a GPU that has no memory left."""
    return FULL.search(traceback) is not None


def more(gpus: float) -> float:
    """Return the share of a trial that ran out of memory: twice what it had, a quarter of a GPU at least, at most one.

    However little it had, its fourth attempt, which is the last, thus has a GPU to itself.
    """
    return min(1.0, max(2 * gpus, 0.25)) if gpus < 1 else gpus
