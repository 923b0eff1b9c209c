"""Writes a batch script for SLURM that runs a study until it is done.

    mixlab slurm --time 12:00:00 --gpus 4 --out job.sbatch ablation_cifar100 --gpus-per-trial 0.5
    sbatch job.sbatch

The script is ``slurm/study.sbatch`` with the job's size, the study and its options filled in. Several studies, with
commas between them, make an array with a task for each.
"""

import argparse
import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from mixlab import installation
from mixlab.errors import BadInput
from mixlab.passwords import shown

# The lines of the script that an option changes, and the options that add a line.
CHANGED = {"nodes": "nodes", "cpus": "cpus-per-task", "time": "time"}
LIMIT = r"(\d+-)?\d+(:\d+){0,2}|UNLIMITED|INFINITE"  # a time limit as SLURM reads it
ADDED = {"gpus": "gpus-per-node", "partition": "partition", "account": "account"}
JOB = tuple(f"--{name}" for name in (*CHANGED, *ADDED, "out"))  # options that stand before the study
NO_JOB = ("-h", "--help", "--check", "--list", "--dry-run", "--fetch")  # options with which a study trains nothing


def main(argv: Sequence[str] | None = None) -> int:
    """Write the script, and return the exit code: 2 for bad input."""
    options = parser().parse_args(argv)
    try:
        text = script(options)
        if options.out is not None:
            Path(options.out).write_text(text, encoding="utf-8")
    except (BadInput, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.out is None:
        sys.stdout.write(text)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of the job's options; those of the study follow its name and are passed on."""
    about = "Write a SLURM batch script that runs a study until it is done."
    codes = "Exit codes: 0 done; 2 bad input, which one sentence explains."
    options = argparse.ArgumentParser(prog="mixlab slurm", description=about, epilog=codes, allow_abbrev=False)
    add = options.add_argument
    count, word = _fitting("0*[1-9][0-9]*", "a whole number from 1 on"), _fitting(r"\S+", "a name without spaces")
    limit = _fitting(LIMIT, "minutes, H:MM:SS or D-HH:MM:SS")
    add("--nodes", metavar="N", type=count, help="nodes of the job (default: 1)")
    add("--cpus", metavar="N", type=count, help="processors of each node (default: 8)")
    add("--gpus", metavar="N", type=count, help="GPUs of each node (default: none)")
    queue = "time limit, after which the job goes back into the queue (default: 24:00:00)"
    add("--time", metavar="T", type=limit, help=queue)
    add("--partition", metavar="P", type=word, help="partition (default: SLURM's)")
    add("--account", metavar="A", type=word, help="account (default: SLURM's)")
    add("--out", metavar="FILE", help="write the script to this file (default: the standard output)")
    add("studies", metavar="STUDY[,STUDY...]", help="names or files of studies")
    add("options", nargs=argparse.REMAINDER, metavar="...", help="options of the study")
    return options


def script(options: argparse.Namespace) -> str:
    """Return the batch script; ``BadInput`` if a study does not exist, or would refuse the options."""
    studies = options.studies.split(",")
    for name in studies:
        installation.study_file(name)
    for one, other in itertools.combinations(studies, 2):
        if installation.study_file(one).samefile(installation.study_file(other)):
            raise BadInput(f"the study {other!r} is named twice: two tasks of one array would train the same runs")
    given = [word.partition("=")[0] for word in options.options]
    if shown(words := shlex.join([options.studies, *options.options])) != words:
        raise BadInput(
            "an option holds a password, which whoever reads the script would learn: leave it out, and give it by the "
            "environment (MLFLOW_TRACKING_PASSWORD, PGPASSWORD, AWS_SECRET_ACCESS_KEY)"
        )
    if idle := [word for word in given if word in NO_JOB]:
        raise BadInput(f"with {idle[0]} nothing is trained, so it makes no job: give it to mixlab run instead")
    if late := [word for word in given if word in JOB]:
        raise BadInput(f"{late[0]} is an option of the job, not of the study: give it before {options.studies}")
    for name in studies:
        _check(name, options.options)
    text = installation.slurm_script().read_text(encoding="utf-8")
    for name, directive in CHANGED.items():
        if getattr(options, name) is not None:
            text = re.sub(rf"(?m)^(#SBATCH --{directive}=).*$", rf"\g<1>{getattr(options, name)}", text)
    added = [f"#SBATCH --{ADDED[name]}={value}\n" for name in ADDED if (value := getattr(options, name)) is not None]
    if len(studies) > 1:
        added.append(f"#SBATCH --array=0-{len(studies) - 1}\n")
    python = shlex.quote(str(Path(sys.executable).parent))
    filled = f"set -- {words}\nMIXLAB_BIN=${{MIXLAB_BIN:-{python}}}\n"
    return text.replace("set -u\n", "".join(added) + "set -u\n" + filled, 1)


def _check(study: str, options: Sequence[str]) -> None:
    """Raise ``BadInput`` if the study would refuse the options; it is asked in a process of its own."""
    command = [sys.executable, "-P", "-m", "mixlab", "run", study, *options, "--check"]
    asked = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if asked.returncode:
        *_, last = asked.stderr.strip().splitlines() or [f"exit code {asked.returncode}"]
        sentence = last.removeprefix("error: ")
        raise BadInput(sentence if sentence != last else f"the study {study!r} cannot be started: {last}")


def _fitting(pattern: str, words: str) -> Callable[[str], str]:
    """Return what reads the value of an option: a text of this form, which the error says in words."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise argparse.ArgumentTypeError(f"must be {words}, got {text!r}")
        return text

    return read


if __name__ == "__main__":
    sys.exit(main())
