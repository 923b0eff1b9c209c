"""The one command line that every study shares, and the only file that knows argparse."""

import argparse
import atexit
import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import fields, replace
from typing import Any, NoReturn

from rich.console import Console

from mixlab import installation
from mixlab.api import REPORT, require_spec, run
from mixlab.errors import BadInput, HeadLost, StorageLost, ends_output, give_up_output, require_known
from mixlab.launching.result import Result
from mixlab.messages import STOPPED, open_streams, say
from mixlab.options import AUTO, BUDGET, Options, option_name
from mixlab.spec import user_input
from mixlab.spec.search import SAMPLERS, SCHEDULERS, Search
from mixlab.spec.study import Study
from mixlab.spec.trainable import PRESETS
from mixlab.spec.user_input import checked_arguments
from mixlab.tracking.mirrors import MIRRORS

# Python collects garbage after so many new objects. Imports make a million that stay; at the default of 700, looking
# through them takes a tenth of a short start.
GARBAGE = 10_000
HELP = "--help lists the options, and a notebook calls mixlab.run"
EXIT_CODES = (
    "Exit codes: 0 every trial is done; 1 some trial failed, which is named, or MLflow refused a write; 2 bad input, "
    "which one sentence explains; 130 interrupted."
)


@checked_arguments
def main(study: Study | Search, train: Any, argv: Sequence[str] | None = None, *, report: Any = REPORT) -> NoReturn:
    """Run ``study``, with the options of the process or ``argv``, and exit with its code; see ``mixlab.run``."""
    open_streams()
    gc.set_threshold(GARBAGE)
    options = Options()
    try:
        installation.check()
        require_spec(study)
        options = parse(study, argv)
        with redirect_stdout(sys.stderr) if options.json else nullcontext():
            result = run(study, train, options, report=report)
    except (BadInput, HeadLost, StorageLost) as error:
        say(Console(stderr=True), f"error: {error}")
        result = Result(2 if isinstance(error, BadInput) else 1)
    except KeyboardInterrupt:  # before the study began, or the second one, for which it does not clean up
        say(Console(stderr=True), STOPPED)
        result = Result(130)
    except SystemExit as end:  # rich raises it with 1 once nobody reads the output
        if end.code != 1:
            raise
        result = Result(int(not (options.listing or options.dry_run)))
    except OSError as error:
        if not ends_output(error):
            raise
        result = Result(give_up_output(error))
    try:
        if options.json:
            print(result.json())
        sys.stdout.flush()
    except OSError as error:
        result = replace(result, exit_code=give_up_output(error) or result.exit_code)
    atexit.register(end_quickly)
    sys.exit(result.exit_code)


def end_quickly() -> None:
    """Spare Python the garbage collection at its exit, which takes seconds."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ray, which ends after this, would answer Ctrl-C by a traceback
    gc.freeze()
    if "triton" in sys.modules:  # it would list its frozen objects on the terminal
        sys.stderr.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


class _Parser(argparse.ArgumentParser):
    """A parser that says in one sentence what is wrong, without its list of all options."""

    def error(self, message: str) -> NoReturn:
        """Raise ``BadInput``."""
        raise BadInput(f"{message}; {HELP}")


class _Names(argparse.Action):
    """Stores names, and refuses the option a second time: its names would replace the first ones without a word."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        if getattr(namespace, self.dest, None):
            raise BadInput(f"{option} is given twice: give all its names at once, with commas between them")
        setattr(namespace, self.dest, user_input.names(values))


def parse(study: Study | Search, argv: Sequence[str] | None = None) -> Options:
    """Return the options of a command line; raise ``BadInput`` for an unknown option or a wrong value."""
    known, others = parser(study).parse_known_args(argv)
    if others and not others[0].startswith("--"):
        raise BadInput(f"{others[0]!r} is neither an option nor the value of one; {HELP}")
    if others:
        require_known("option", others[0].partition("=")[0], [option_name(each.name) for each in fields(Options)])
    given = vars(known)
    changes: dict[str, Any] = {}
    for key, value in map(_assignment, given.pop("set", ())):
        if repr(changes.setdefault(key, value)) != repr(value):  # nan is not equal to itself, and 1 is to true
            raise BadInput(f"--set gives {key} two values, {changes[key]!r} and {value!r}: give it one")
    return Options(changes=changes, **given)


def parser(study: Study | Search) -> argparse.ArgumentParser:
    """Return the parser of the options, whose names other programs rely on; it leaves out those not given."""
    kind = "search" if isinstance(study, Search) else "study"
    about = f"Run the {kind} {study.name}. The same command again runs only what is missing."
    options = _Parser(prog=installation.command, description=about, epilog=EXIT_CODES, allow_abbrev=False)
    options.argument_default = argparse.SUPPRESS
    add, known = options.add_argument, "{" + ",".join(PRESETS) + "}"
    presets = "paper: as published (default); quick: minutes to hours on a laptop; smoke: only shows that it runs"
    add("--preset", metavar=known, help=presets)
    add("--dataset", metavar="D", help="data set, such as cifar10")
    add("--data-root", metavar="DIR", help=f"folder of the data sets (default: {Options.data_root})")
    add("--mixers", metavar="A,B", action=_Names, help="only these mixers: the levels of the factor mixer")
    add("--backbones", metavar="A,B", action=_Names, help="only these networks: the levels of the factor backbone")
    arms = 'only these arms, and the baseline; "A, B" in double quotes is one name'
    add("--arms", metavar="A,B", action=_Names, help=arms)
    add("--seeds", metavar="N", type=_whole, help="run seeds 0 to N-1 in every arm")
    until = (
        "add seeds one at a time, and none to an arm whose comparison is decided; --seeds is then the most that an arm "
        f"gets (default: {BUDGET}); in a search, none to a configuration that cannot be the best either"
    )
    add("--until", metavar="decided", help=until)
    add("--epochs", metavar="N", type=_whole, help="epochs of each trial")
    add("--train-images", metavar="N", type=_whole, help="only the first N training images")
    add("--deterministic", action="store_true", help="refuse GPU operations whose results vary from run to run")
    add("--set", metavar="KEY=VALUE", action="append", help="change a key of the base configuration; may be repeated")
    add("--address", help="Ray cluster: local, which starts Ray on this machine (default), auto or HOST:PORT")
    add("--cpus-per-trial", metavar="F", type=_number, help="processors of each trial (default: 1)")
    gpus = "GPUs of each trial, such as 0.5; auto: as many trials to a GPU as fit (default: 1 where there is a GPU)"
    add("--gpus-per-trial", metavar="F", type=_gpus, help=gpus)
    add("--tracking-uri", metavar="URI", help=f"MLflow store (default: {Options.tracking_uri})")
    add("--mirrors", metavar="A,B", action=_Names, help=f"other trackers that show the runs too: {', '.join(MIRRORS)}")
    add("--system-metrics", action="store_true", help="record in MLflow what the machine of each trial does")
    add("--storage", metavar="DIR", help=f"folder or URI of results and checkpoints (default: {Options.storage})")
    minutes = "minutes between two checkpoints of a trial (default: one after every epoch)"
    add("--checkpoint-every", metavar="MINUTES", type=_number, help=minutes)
    add("--check", action="store_true", dest="check_only", help="check the study and these options, and end")
    add("--dry-run", action="store_true", help="print the plan and train nothing")
    add("--list", action="store_true", dest="listing", help="print factors, arms and presets, and end")
    add("--fetch", action="store_true", help="download what the study reads to --data-root, and end")
    add("--quiet", action="store_true", help="print failures and the tables only")
    add("--json", action="store_true", help="print plan, verdicts and paths as JSON, all else on standard error")

    def of_search(words: str) -> str:  # a study refuses these options by name, and does not show them
        return words if isinstance(study, Search) else argparse.SUPPRESS

    add("--trials", metavar="N", type=_whole, help=of_search("configurations to try in all arms together"))
    add("--sampler", metavar="S", help=of_search(f"what proposes configurations: {', '.join(SAMPLERS)}"))
    add("--scheduler", metavar="S", help=of_search(f"which trials are stopped early: {', '.join(SCHEDULERS)}"))
    add("--concurrent", metavar="N", type=_whole, help=of_search("the most trials at a time"))
    database = "database of the trials (default: a file next to the results)"
    add("--optuna-storage", metavar="URL", help=of_search(database))
    return options


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None


def _number(text: str, other: str = "") -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number{other}, got {text!r}") from None


def _gpus(text: str) -> float | str:
    return text if text == AUTO else _number(text, f" or {AUTO}")


def _assignment(text: str) -> tuple[str, Any]:
    """Return the key and the value of KEY=VALUE: as JSON where it is JSON (0.2, true, [0, 1]), else as text."""
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise BadInput(f"--set takes KEY=VALUE, got {text!r}")
    try:
        return key, json.loads(value)
    except (ValueError, RecursionError):
        return key, value
