"""What the commands of the analysis share: their options, their patience with MLflow, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mixlab.errors import BadInput

if TYPE_CHECKING:
    from analysis.networks.evaluate import Measure, Result
    from trainables.config import Config


def parser(
    file: str, description: str, *, what: str = "study", example: str = "ablation_cifar100"
) -> argparse.ArgumentParser:
    """A command line with the options that every command has.

    Args:
        file: name of the script.
        description: one sentence, for ``--help``.
        what: the command reads, its one positional argument.
        example: of its name.
    """
    options = argparse.ArgumentParser(prog=file, description=description)
    options.add_argument(what, help=f"name of the {what}, e.g. {example}")
    options.add_argument("--tracking-uri", default="sqlite:///mlflow.db", help="where MLflow keeps its runs")
    options.add_argument("--plan", metavar="HASH", help=f"an earlier plan of the {what} (default: the one used last)")
    return options


def evaluation_parser(file: str, description: str, *, images: int = 1000) -> argparse.ArgumentParser:
    """The options of a command that evaluates the networks of a study.

    Args:
        file: name of the script; without its ending, the folder of its files below ``results``.
        description: one sentence, for ``--help``.
        images: how many test images are looked at where the user does not say.
    """
    options, out = parser(file, description), Path("results") / Path(file).stem
    add = options.add_argument
    add("--out", type=Path, default=out, metavar="DIR", help="folder of the files (default: %(default)s)")
    add("--images", type=int, default=images, metavar="N", help="test images, evenly spaced (default: %(default)s)")
    add("--data-root", type=Path, default=Path("data"), metavar="DIR", help="folder of the data sets")
    where = "evaluate as Ray tasks: local, auto or HOST:PORT (default: none, in this process)"
    add("--address", default="none", help=where)
    return options


def require_at_least_one(options: argparse.Namespace, *names: str) -> None:
    """Raise ``ValueError`` for an option that counts something and is below 1."""
    for name in names:
        if getattr(options, name) < 1:
            raise ValueError(f"--{name} must be at least 1, got {getattr(options, name)}")


def evaluate(
    file: str, options: argparse.Namespace, runs: pd.DataFrame, measure: Measure, protocol: Mapping[str, Any]
) -> tuple[dict[str, Result], Config | None, list[str]]:
    """Call ``evaluate_runs`` by the options of ``evaluation_parser``; print why a run has no result."""
    from analysis.networks.evaluate import evaluate_runs  # and with it torch, which a table does not need

    results, config, problems = evaluate_runs(
        options.tracking_uri,
        runs,
        measure,
        protocol,
        images=options.images,
        data_root=options.data_root,
        cache=options.out / "evaluations.json",
        address=options.address,
    )
    for problem in problems:
        print(f"{file}: not evaluated: {problem}", file=sys.stderr)
    return results, config, problems


def run(file: str, work: Callable[[argparse.Namespace], int], options: argparse.Namespace) -> int:
    """Do the work; the exit code. Bad input is one sentence and 2."""
    # A server that is down must be reported in seconds, not after MLflow's minutes of retries.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    try:
        return work(options)
    except (BadInput, ValueError, OSError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 2
