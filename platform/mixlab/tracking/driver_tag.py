"""Keeps a second driver off the runs of a plan in an MLflow store that is no file, so that nothing can be locked.

A driver tags the experiment with its name and a number that rises with every beat. On its own machine the process is
looked up, so that a killed driver's tag holds nobody up. Across machines, whose clocks may be hours off, the tag is
watched for a change.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from mlflow.tracking import MlflowClient

from mixlab.processes import BEAT_SECONDS, heartbeat, in_words, machine_of, runs_here, this_process
from mixlab.tracking import names

WATCH_SECONDS = 2.5 * BEAT_SECONDS  # without a beat, after which a driver on another machine is taken for dead
LOOK_SECONDS = 1.0  # the pause between two looks at the tag
LAST_SECONDS = 5.0  # for the removal of the tag, for which the end of a start does not wait longer


class OtherDriver(Exception):
    """Another driver writes the same runs; the message is its name in words."""


@contextlib.contextmanager
def tagged(
    client: MlflowClient, experiment: str, plan: str, watching: Callable[[str], None], lost: Callable[[str], None]
) -> Iterator[None]:
    """Be the only driver of a plan, by its identity, inside the block.

    Args:
        client: the client of the store.
        experiment: the id of the experiment.
        plan: the identity of the plan.
        watching: called with a sentence before another machine's driver is watched.
        lost: called in another thread, with a sentence, when another driver has taken this one for dead.

    Raises:
        OtherDriver: another one is at work.
        MlflowException: the store does not answer.
    """
    tag = _Tag(client, experiment, names.DRIVER + plan)
    tag.require_nobody(watching)
    tag.beat()
    time.sleep(LOOK_SECONDS)
    tag.require_nobody(watching)  # of two that start at once, the second has replaced the tag of the first

    def keep() -> bool:
        if tag.driver() == tag.mine:
            tag.beat()
            return True
        lost("another start of this study has taken over, because this one had not written to MLflow for long")
        return False

    over = heartbeat(keep)
    try:
        yield
    finally:
        over.set()
        last = threading.Thread(target=tag.remove, daemon=True)
        last.start()
        last.join(LAST_SECONDS)


class _Tag:
    """The tag of an experiment that names the driver of a plan."""

    def __init__(self, client: MlflowClient, experiment: str, name: str) -> None:
        self.client = client
        self.experiment = experiment
        self.name = name
        self.mine = this_process()
        self._beats = 0

    def value(self) -> str:
        return str(self.client.get_experiment(self.experiment).tags.get(self.name, ""))

    def driver(self) -> str:
        return self.value().rpartition(" ")[0]

    def beat(self) -> None:
        self._beats += 1
        self.client.set_experiment_tag(self.experiment, self.name, f"{self.mine} {self._beats}")

    def require_nobody(self, watching: Callable[[str], None]) -> None:
        """Raise ``OtherDriver`` if another driver is at work."""
        value = self.value()
        other = value.rpartition(" ")[0]
        if other in ("", self.mine):
            return
        if machine_of(other) == machine_of(self.mine):
            if runs_here(other):
                raise OtherDriver(in_words(other))
            return
        watching(
            f"A start of this study {in_words(other)} has not ended as usual, or is still at work: "
            f"waiting up to {WATCH_SECONDS:.0f} s for a sign of it ..."
        )
        until = time.monotonic() + WATCH_SECONDS
        while time.monotonic() < until:
            if self.value() != value:
                if self.driver() in ("", self.mine):
                    return
                raise OtherDriver(in_words(self.driver()))
            time.sleep(LOOK_SECONDS)

    def remove(self) -> None:
        """Remove the tag unless it is another driver's; the store may be away."""
        with contextlib.suppress(Exception):
            if self.driver() == self.mine:
                self.client.delete_experiment_tag(self.experiment, self.name)
