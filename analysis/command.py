"""The parts that the commands of the analysis share: options, patience with MLflow, and exit codes."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mixlab.errors import BadInput, HeadLost


def parser(
    file: str, description: str, *, what: str = "study", example: str = "ablation_cifar100", out: bool = False
) -> argparse.ArgumentParser:
    """Return a command line with the options that every command has.

    Args:
        file: the name of the script.
        description: one sentence, for ``--help``.
        what: what the command reads, its one positional argument.
        example: an example of that argument.
        out: the command writes files, into a folder below ``results`` that is called as the script is.
    """
    options = argparse.ArgumentParser(prog=file, description=description)
    options.add_argument(what, help=f"name of the {what}, e.g. {example}")
    options.add_argument("--tracking-uri", default="sqlite:///mlflow.db", help="where MLflow keeps its runs")
    options.add_argument("--plan", metavar="HASH", help=f"an earlier plan of the {what} (default: the one used last)")
    if out:
        usual, words = Path("results") / Path(file).stem, "folder of the files (default: %(default)s)"
        options.add_argument("--out", type=Path, default=usual, metavar="DIR", help=words)
    return options


def run(file: str, work: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Do the work and return the exit code: 2 with one sentence for bad input, 130 for an interruption.

    Bad input is whatever the options ask for that cannot be done: ``work`` raises ``BadInput``, ``OSError`` or
    ``ValueError``, of which ``DataError`` is one. SIGTERM, which batch systems send at a time limit, ends a command as
    Ctrl-C does.
    """
    # A server that is down must be reported in seconds, not after MLflow's minutes of retries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    try:
        with _ended_by_sigterm():
            return work(options)
    except (BadInput, HeadLost, ValueError, OSError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1 if isinstance(error, HeadLost) else 2
    except KeyboardInterrupt as end:
        kept = f"{end}; the same command goes on" if str(end) else "the same command starts again"
        print(f"{file}: interrupted; {kept}", file=sys.stderr)
        return 130


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at SIGTERM inside the block, if this is the main thread."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
