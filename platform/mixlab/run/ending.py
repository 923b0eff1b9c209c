"""How work on a cluster ends: when it is done, by Ctrl-C, or because the head is lost; and what is told of that."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from mixlab.errors import HeadLost
from mixlab.provenance import command
from mixlab.tracking.tracker import DRAIN_SECONDS, Tracker
from mixlab.uris import shown

LOST_DRAIN_SECONDS = 5.0  # for MLflow, once the cluster is lost: it may have been on the same machine


@dataclass
class Ending:
    """Why the work ended before it was done, if it did."""

    interrupted: bool = False
    lost: bool = False

    @property
    def early(self) -> bool:
        """Whether something is left to do."""
        return self.interrupted or self.lost


@contextlib.contextmanager
def noticed(console: Console) -> Iterator[Ending]:
    """Gives what is known, after the block, of how it ended; an interruption and a lost head stop here."""
    ending = Ending()
    try:
        yield ending
    except KeyboardInterrupt:
        ending.interrupted = True
        console.print("Stopping ...")
    except HeadLost as death:
        ending.lost = True
        console.print(str(death), style="red", markup=False, soft_wrap=True)


def write_out(
    tracker: Tracker, ending: Ending, kept: str, tracking_uri: str, console: Console, told: bool = True
) -> bool:
    """Wait until MLflow has everything, and say what it refused; False, and said, if it went away.

    Args:
        tracker: nothing more is given to it meanwhile.
        ending: of the work.
        kept: what is kept, and where, that MLflow may lack.
        tracking_uri: of MLflow.
        console: to say it on.
        told: whether the tracker has been told everything; not so where MLflow was away for a question before.
    """
    written = tracker.drain(LOST_DRAIN_SECONDS if ending.lost else DRAIN_SECONDS) and told
    for line in tracker.refused:
        console.print(f"MLflow refused a write: {line}", style="red", markup=False)
    if not written:
        console.print(
            f"MLflow at {shown(tracking_uri)} does not answer. Nothing is lost: {kept}, and the same command "
            "writes it.",
            style="red",
        )
    return written


def exit_code(ending: Ending, console: Console) -> int:
    """Of work that ended early."""
    if ending.interrupted:
        console.print(f"Stopped; finished epochs are kept. To go on: {command()}", markup=False, soft_wrap=True)
        return 130
    return 1
