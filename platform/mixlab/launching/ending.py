"""Handles the end of work on a cluster: it is done, or stopped by Ctrl-C, a lost head, or a fault."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console

from mixlab.errors import BadInput, HeadLost, StorageFull, first_line, no_room
from mixlab.messages import say
from mixlab.provenance import command
from mixlab.tracking.tracker import DRAIN_SECONDS, Tracker
from mixlab.uris import shown

LOG = logging.getLogger("mixlab")

LOST_DRAIN_SECONDS = 5.0  # for MLflow, once the cluster is lost: it may have been on the same machine


@dataclass
class Ending:
    """The reason why work ended before it was done, if it did."""

    interrupted: bool = False
    lost: bool = False
    fault: BaseException | None = None

    @property
    def early(self) -> bool:
        """Return whether something is left to do."""
        return self.interrupted or self.lost or self.fault is not None

    def code(self, console: Console) -> int:
        """Return the exit code of work that ended early; raise the ``BadInput`` that ended it, if one did."""
        if isinstance(self.fault, BadInput):
            raise self.fault
        if self.interrupted:
            say(console, f"Stopped; finished epochs are kept. To go on: {command()}")
            return 130
        return 1


@contextlib.contextmanager
def noticed(console: Console, storage: str) -> Iterator[Ending]:
    """Yield a record of how the block ended, filled in after it; every exception stops here once its reason is said."""
    ending = Ending()
    try:
        yield ending
    except KeyboardInterrupt:
        ending.interrupted = True
        say(console, "Stopping ...")
    except SystemExit:  # by rich, once nobody reads its output, such as a pager that was left
        ending.interrupted = True
        say(Console(stderr=True), "Stopping, because nobody reads the output; finished epochs are kept")
    except HeadLost as death:
        ending.lost = True
        say(console, str(death), style="red")
    except BadInput as fault:
        ending.fault = fault
    except Exception as fault:
        ending.fault = fault
        if isinstance(fault, StorageFull) or no_room(fault):
            # A trial names the place that is full; what is written here goes to the storage.
            place = fault if isinstance(fault, StorageFull) else f"--storage {shown(storage)!r} ({first_line(fault)})"
            text = f"stopped, because there is no room left in {place}"
            say(console, f"{text}: free some; finished epochs are kept, and the same command goes on", style="red")
            return
        LOG.exception("the work ended by a fault")
        text = f"stopped by {type(fault).__name__}: {first_line(fault)}; finished epochs are kept"
        say(console, f"{text}, and mixlab.log says more", style="red")


def write_out(tracker: Tracker, ending: Ending, record: str, console: Console, complete: bool = True) -> bool:
    """Wait until MLflow has everything, say what it refused, and return whether it has it; the rest is given up.

    The ``record`` is a clause that says where the records are that MLflow may lack. The tracker has not received
    everything, and is not ``complete``, if MLflow did not answer an earlier request.
    """
    written = tracker.drain(LOST_DRAIN_SECONDS if ending.lost else DRAIN_SECONDS) and complete
    refused = tracker.newly_refused()
    for line in refused:
        say(console, f"MLflow refused a write: {line}", style="red")
    if not written:
        reason = f" ({shown(tracker.writer.outage)})" if tracker.writer.outage else ""
        full = not ending.lost and tracker.end_without_room()
        what = "has no room" if full else "does not answer"
        kept = f"Nothing is lost: {record}, and the same command writes it{reason}."
        text = f"MLflow at {shown(tracker.client.tracking_uri)} {what}. {kept}"
        say(console, text, style="red")
        tracker.writer.abandoned = True  # in a notebook it would write on, into the runs of the next launch
    return written and not refused
