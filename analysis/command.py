"""The parts that the commands of the analysis share: options, reading a study, exit codes and messages."""

import argparse
import math
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pandas as pd
from mlflow.exceptions import MlflowException

from analysis.records.runs import Plan, load_plan, load_runs
from mixlab import installation
from mixlab.errors import BadInput, HeadLost, drop_output, in_one_line, no_room, root_cause, without_room
from mixlab.messages import open_streams
from mixlab.spec import user_input
from mixlab.uris import existing_part

EXIT_CODES = "Exit codes: 0 done; 1 a disk is full; 2 bad input, which one sentence explains; 130 interrupted."


class NothingEvaluated(Exception):
    """No network could be evaluated. The reason of each has been printed."""


def parser(file: str, description: str, *, tracked: bool = True, out: bool = False) -> argparse.ArgumentParser:
    """Return a command line with the options that every command has.

    Args:
        file: the name of the script; ``description`` is the sentence that ``--help`` says of it.
        tracked: the command reads MLflow.
        out: the command writes files, into a folder below ``results`` that is called as the script is.
    """
    options = argparse.ArgumentParser(prog=installation.command or file, description=description, epilog=EXIT_CODES)
    add, usual = options.add_argument, f"results/{Path(file).stem}"
    if tracked:
        store = "MLflow store (default: %(default)s)"
        add("--tracking-uri", metavar="URI", default="sqlite:///mlflow.db", help=store)
    if out:
        files = "write the files to this folder (default: %(default)s)"
        add("--out", type=new_folder, default=usual, metavar="DIR", help=files)
    return options


def study_parser(
    file: str, description: str, *, what: str = "study", example: str = "ablation_cifar100", out: bool = False
) -> argparse.ArgumentParser:
    """Return the options of a command that reads one ``what``, such as ``example``; the rest as for :func:`parser`."""
    options = parser(file, description, out=out)
    options.add_argument(what, metavar=what.upper(), help=f"name of the {what}, such as {example}")
    plan = f"read the {what}'s plan whose hash, MLflow's tag mixlab.plan, begins so (default: the plan used last)"
    options.add_argument("--plan", type=given, metavar="HASH", help=plan)
    return options


def add_data_root(options: argparse.ArgumentParser) -> None:
    """Add the option of a command that reads a data set itself."""
    usual, words = Path("data"), "folder of the data sets (default: %(default)s)"
    options.add_argument("--data-root", type=Path, default=usual, metavar="DIR", help=words)


def given(text: str) -> str:
    """Return ``text``, as a type of ``argparse``; refuse an empty one, as an unset variable of a shell gives."""
    if not text.strip():
        raise argparse.ArgumentTypeError(f"must not be empty, got {text!r}")
    return text


def new_folder(text: str) -> Path:
    """Return a folder, which need not exist, as a type of ``argparse``; refuse one that cannot be written."""
    folder = _folder(text)
    for file in filter(Path.is_file, folder.iterdir() if folder.is_dir() else ()):
        _require_access(file)
    return folder


def _folder(text: str) -> Path:
    folder = Path(given(text))
    existing = existing_part(folder)
    if not existing.is_dir():
        raise argparse.ArgumentTypeError(f"{str(existing)!r} is a file, and must be a folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise argparse.ArgumentTypeError(f"nothing can be written to {str(existing)!r}: name another folder")
    return folder


def new_file(text: str) -> Path:
    """Return a file, which need not exist, as a type of ``argparse``; refuse one that cannot be written."""
    try:
        is_folder = Path(given(text)).is_dir()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written ({error.strerror})") from None
    if is_folder:
        raise argparse.ArgumentTypeError(f"{text!r} is a folder: name a file in it")
    _folder(str(Path(text).parent))
    return _require_access(Path(text))


def _require_access(file: Path) -> Path:
    if file.exists() and not os.access(file, os.W_OK):
        raise argparse.ArgumentTypeError(f"the file {str(file)!r} cannot be written: name another place")
    return file


def at_least(least: int, *, odd: bool = False, or_zero: bool = False) -> Callable[[str], int]:
    """Return a type of ``argparse`` for whole numbers from ``least`` on: only ``odd`` ones, or 0 too, if asked for."""

    def number(text: str) -> int:
        found = int(text)
        if (found < least or (odd and found % 2 == 0)) and not (or_zero and found == 0):
            which = f"an odd number from {least}" if odd else f"at least {least}"
            raise argparse.ArgumentTypeError(f"must be {'0 or ' if or_zero else ''}{which}, got {found}")
        return found

    number.__name__ = "int"  # argparse has this name in its error for other text
    return number


count = at_least(1)


def positive(text: str) -> float:
    """Return a finite number above 0, as a type of ``argparse``."""
    if not 0 < (number := float(text)) < math.inf:
        raise argparse.ArgumentTypeError(f"must be above 0 and finite, got {text}")
    return number


positive.__name__ = "float"


def names(text: str) -> list[str]:
    """Return the names in an option such as ``--arms "baseline, + lam"``, as a type of ``argparse``."""
    try:
        found = user_input.names(given(text))
    except BadInput as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not found:
        raise argparse.ArgumentTypeError(f"must hold a name, got {text!r}")
    return found


def read_study(options: argparse.Namespace) -> tuple[Plan, pd.DataFrame]:
    """Return the plan that the options name and its runs, one row per planned cell; ``BadInput`` if there is none."""
    plan = load_plan(options.tracking_uri, options.study, options.plan)
    return plan, load_runs(options.tracking_uri, options.study, plan)


def finish(files: Iterable[Path], text: str = "") -> int:
    """Print a text and the files that were written; return the exit code of success."""
    print(*([text] if text else []), *files, sep="\n")
    return 0


Work = Callable[[argparse.Namespace], int]  # it returns an exit code


def main(module: str, work: Work, parser: argparse.ArgumentParser) -> Callable[..., int]:
    """Return the ``main`` of a command: it takes a list of arguments, by default the program's, as :func:`run` does.

    Where its ``module`` is the program, it is called here, and the process ends with its exit code.
    """
    command = partial(run, work, parser)
    if module == "__main__":
        raise SystemExit(command())
    return command


def run(work: Work, parser: argparse.ArgumentParser, argv: list[str] | None = None) -> int:
    """Do the work that a command line asks for and return one of ``EXIT_CODES``.

    Bad input is whatever the options ask for that cannot be done: ``work`` raises ``BadInput``, ``OSError`` or
    ``ValueError``, of which ``DataError`` is one. SIGTERM, which batch systems send at a time limit, ends a command as
    Ctrl-C does.
    """
    open_streams()
    options = parser.parse_args(argv)
    # A server that is down must be reported in seconds, not after MLflow's minutes of retries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    try:
        with _ended_by_sigterm():
            code = work(options)
            sys.stdout.flush()
            return code
    except NothingEvaluated:
        return 1
    except BrokenPipeError:  # whoever reads, such as head, has had enough
        drop_output()
        return 0
    except (BadInput, HeadLost, ValueError, OSError, MlflowException) as error:
        full = no_room(error)
        said = in_one_line(error) if not isinstance(error, MlflowException) else f"MLflow: {root_cause(error)}"
        if isinstance(error, OSError) and error.filename and error.strerror:
            said = f"{error.filename!r} cannot be used ({error.strerror})"
        elif full:
            said = without_room("the place of its output or files", error)
        print(f"{parser.prog}: {said}", file=sys.stderr)
        if full:
            drop_output()
        return 1 if full or isinstance(error, HeadLost) else 2
    except KeyboardInterrupt as end:
        advice = f"{end}; the same command goes on" if str(end) else "the same command starts again"
        print(f"{parser.prog}: interrupted; {advice}", file=sys.stderr)
        return 130


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Raise ``KeyboardInterrupt`` at SIGTERM inside the block, if this is the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
