"""A step of training or testing as one CUDA graph: a GPU repeats all its kernels at one call.

At small batches the host takes longer to launch the kernels of a step, several hundred of them, than a GPU to run
them. A graph holds them with their arguments, so the same kernels read the same memory in every step: the numbers
stay as they are, and only what the host decides anew in each step cannot be in it.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor

from trainables.config import Config, flatten
from trainables.device.hardware import seconds_of
from trainables.mixers.choice import no_choices
from trainables.parallel import rows
from trainables.rehearsal import rehearse

WARM_UP = 3  # steps before the graph: the optimiser and torch's libraries allocate and choose in the first ones
TIMED = 3  # steps as a graph, of which the fastest counts, as of those before: others may be using the machine
STEPS_TO_GRAPH = WARM_UP + 1  # after these a run has its graph, and the memory that this takes

Step = Callable[[Tensor, Tensor], None]
_checked: set[str] = set()  # the methods whose step can be a graph


def check(config: Config) -> None:
    """Raise ``ValueError`` if the program decides anything in a step that a graph would keep as it was.

    LAMB computes with the number of its steps and the learning rate in Python.
    """
    if config.optimiser == "lamb":
        raise ValueError("cuda_graph is for optimiser 'sgd' or 'adamw', got 'lamb'")
    key = str({name: _kind(value) for name, value in flatten(config).items()})
    if key in _checked:
        return
    try:
        with no_choices():
            rehearse(config)
    except (ValueError, RuntimeError) as error:  # the latter for a value that is read back
        raise ValueError(f"cuda_graph must be 'auto' or False with mixer {config.mixer!r}, got True: {error}") from None
    _checked.add(key)


def _kind(value: object) -> object:
    """Return what decides how a step runs: of a real number, only whether it is above 0 and whether it is below 1."""
    return (value > 0, value < 1) if isinstance(value, float) else value


def takes_graph(config: Config) -> bool:
    """Return whether a step is a graph where there is a GPU."""
    if config.cuda_graph != "auto":
        return config.cuda_graph
    if rows.count() > 1:
        return False
    try:
        check(config)
    except ValueError:
        return False
    return True


@dataclass
class GraphedStep:
    """Takes a step on each batch (B, C, H, W) with labels (B,), in training or testing: from the fourth on as a graph.

    Args:
        batch_size: B of the graph's batches; one of another size, such as an epoch's last, goes without the graph.
        rng: the generator of a step, if it has one besides torch's own.
    """

    batch_size: int
    rng: Generator | None = None
    graph: torch.cuda.CUDAGraph | None = None
    launched: list[float] = field(default_factory=list)  # seconds of the first steps
    replayed: list[float] = field(default_factory=list)  # seconds of the first ones as a graph

    def __call__(self, step: Step, images: Tensor, labels: Tensor) -> None:
        """Take ``step``, which is the same in every call; the first steps count too, so that nothing has to be undone.

        ``ValueError`` says why it cannot be a graph.
        """
        if len(images) != self.batch_size:
            step(images, labels)
        elif len(self.launched) < WARM_UP:
            self.launched.append(seconds_of(lambda: _aside(step, images, labels)))
        else:
            self.graph = self.graph or self._captured(step, images, labels)
            self.images.copy_(images)
            self.labels.copy_(labels)
            if len(self.replayed) < TIMED:
                self.replayed.append(seconds_of(self.graph.replay))
            else:
                self.graph.replay()

    @property
    def speedup(self) -> float:
        """Return how many times as fast a step has become by being a graph."""
        return min(self.launched) / min(self.replayed)

    def _captured(self, step: Step, images: Tensor, labels: Tensor) -> torch.cuda.CUDAGraph:
        """Capture a step as a graph, without taking it, and return the graph."""
        self.images, self.labels = images.clone(), labels.clone()
        graph = torch.cuda.CUDAGraph()
        if self.rng is not None:
            graph.register_generator_state(self.rng)
        # Only this thread is captured: another may be pinning the memory of streamed images.
        capture = torch.cuda.graph(graph, _pool(), _side_stream(), capture_error_mode="thread_local")
        with no_choices(), capture:
            step(self.images, self.labels)
        return graph


def _aside(step: Step, images: Tensor, labels: Tensor) -> None:
    """Take a step on a stream other than torch's default one, which a graph may not wait for."""
    stream = _side_stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        step(images, labels)
    torch.cuda.current_stream().wait_stream(stream)


@functools.cache
def _side_stream() -> torch.cuda.Stream:
    """Return one stream for all runs of the process: cuBLAS keeps 32 MiB for each that it has seen."""
    return torch.cuda.Stream()


@functools.cache
def _pool() -> Any:
    """Return the memory that all graphs of the process share, since only one of them runs at a time."""
    return torch.cuda.graph_pool_handle()
