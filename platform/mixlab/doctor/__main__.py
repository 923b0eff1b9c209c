"""Prints one line for each thing that can go wrong in practice, with its fix.

    python -m mixlab.doctor                          this machine
    python -m mixlab.doctor --address HOST:6379      this machine and every node of a cluster

The options are those of a study: give the same. Exit codes: 0 a study can start, perhaps with warnings; 1 something is
red; 2 bad input, or no cluster.
"""

import argparse
import contextlib
import logging
import os
import pkgutil
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from mixlab.cluster import connect
from mixlab.cluster.resources import require_address
from mixlab.doctor.checks import OK, RED, WARNING, Finding, judge
from mixlab.doctor.driver import examine_driver
from mixlab.doctor.examination import examine, examine_entry
from mixlab.doctor.facts import DATASETS, Question, collect
from mixlab.errors import require_known
from mixlab.options import Options
from mixlab.storage.probe import marked

STYLES = {OK: "green", WARNING: "yellow", RED: "bold red"}


def main(argv: Sequence[str] | None = None) -> int:
    """Examine, print the findings, and return the exit code; raise as ``diagnose`` does."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # so that a server that is not there is named at once
    findings = diagnose(parser().parse_args(argv))
    red = any(finding.level == RED for finding in findings)
    console = Console(highlight=False, soft_wrap=True)
    with contextlib.suppress(SystemExit):  # rich raises it once nobody reads the output
        for finding in findings:
            line = Text.assemble((f"{finding.level:<8}", STYLES[finding.level]), f"{finding.check:<10}{finding.text}")
            console.print(line.append(f". Fix: {finding.fix}" if finding.fix else ""))
        console.print("Fix what is red before a study starts." if red else "Nothing is red.")
    return 1 if red else 0


def parser() -> argparse.ArgumentParser:
    """Return the options, named as a study's."""
    about = "Look for what goes wrong in practice. Give the options that the study will get."
    codes = "Exit codes: 0 a study can start, perhaps with warnings; 1 something is red; 2 bad input or no cluster."
    options = argparse.ArgumentParser(prog="mixlab doctor", description=about, epilog=codes, allow_abbrev=False)
    add = options.add_argument
    add("--address", default="local", help="Ray cluster: local, no more than this machine (default), auto or HOST:PORT")
    add("--tracking-uri", metavar="URI", default="sqlite:///mlflow.db", help="MLflow store (default: %(default)s)")
    add("--storage", metavar="DIR", default="results", help="folder or URI of results (default: %(default)s)")
    add("--data-root", metavar="DIR", default="data", help="folder of the data sets (default: %(default)s)")
    add("--dataset", metavar="D", help="data set to look for (default: none)")
    return options


def diagnose(options: argparse.Namespace) -> list[Finding]:
    """Return every finding; raise ``BadInput`` for a wrong option or a cluster that does not answer."""
    Options(**vars(options)).check()
    require_address(options.address)
    datasets = pkgutil.resolve_name(DATASETS) if options.dataset is not None else {}
    if options.dataset is not None:
        require_known("data set", options.dataset, datasets)
    root = options.storage if "://" in options.storage else str(Path(options.storage).absolute())
    marker = f".doctor-{secrets.token_hex(6)}"
    with marked(root, marker):
        data_root = str(Path(options.data_root).absolute())
        asked = Question(options.tracking_uri, root, data_root, options.dataset, marker)
        machines = [collect(asked)]
        findings = examine_driver(asked)
        if options.address != "local":
            logging.getLogger("ray").setLevel(logging.CRITICAL)
            entry = examine_entry(options.address)
            findings = entry + findings
            if any(finding.level == RED for finding in entry):
                return findings + judge(asked, machines)
            with connect.connected(options.address, datasets.get(options.dataset)):
                facts, answers = examine(asked)
                machines += facts
                findings += answers
    return findings + judge(asked, machines)


if __name__ == "__main__":
    sys.exit(main())
