"""The command ``mixlab``: runs a study by its name, wherever Mixlab is installed, and the tools around it.

    mixlab list                      every study, and what it shows
    mixlab run STUDY [options]       the same as python studies/STUDY.py [options]
    mixlab fetch STUDY [options]     download all that the study reads, for machines without internet
    mixlab doctor [options]          look for what goes wrong on this machine or on a cluster
    mixlab slurm STUDY [options]     write a batch script for a SLURM cluster

Only ``mixlab.cli`` knows the options of a study; whatever follows the name of a command is passed on as it is.
"""

import ast
import importlib.util
import runpy
import sys
from collections.abc import Sequence

from mixlab import installation
from mixlab.errors import BadInput, ends_output, first_line, give_up_output, require_known
from mixlab.messages import STOPPED, in_lines, open_streams, terminal_width

TOOLS = {  # the module that carries out a command, as ``python -m MODULE`` does, and the purpose of the command
    "compare": ("analysis.compare", "compare two studies, or two plans of one, cell by cell"),
    "doctor": ("mixlab.doctor", "look for what goes wrong on this machine or on a cluster"),
    "merge": ("mixlab.tracking.merge", "add the runs of another MLflow store, each once"),
    "slurm": ("mixlab.slurm", "write a batch script that runs a study on a SLURM cluster"),
    "table": ("analysis.ablation_table", "print the tables of a study again"),
}
OWN = {
    "list": "every study, and what it shows",
    "run": "run a study: mixlab run STUDY [options]; mixlab run STUDY --help lists them",
    "fetch": "download all that a study reads: mixlab fetch STUDY [options], the same ones",
}
HELP = ("-h", "--help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, and return its exit code: 2 for bad input, and 130 for Ctrl-C, as every study does."""
    open_streams()
    command, *arguments = [*(sys.argv[1:] if argv is None else argv)] or ["--help"]
    try:
        installation.check()
        try:
            _carry_out(command, arguments)
        finally:
            sys.stdout.flush()
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        return 130
    except OSError as error:
        if not ends_output(error):
            raise
        return give_up_output(error)
    return 0


def _carry_out(command: str, arguments: Sequence[str]) -> None:
    if (arguments[0] if command in OWN and arguments else command) in HELP:  # also mixlab run --help, without a study
        _help()
    elif command == "list":
        _list(arguments)
    elif command == "run":
        _run(command, arguments)
    elif command == "fetch":
        _run(command, [*arguments, "--fetch"] if arguments else [])
    else:
        require_known("command", command, (*OWN, *TOOLS))
        _tool(command, arguments)


def _help() -> None:
    purposes = OWN | {name: purpose for name, (_, purpose) in sorted(TOOLS.items())}
    print("usage: mixlab COMMAND ...\n")
    for name, purpose in purposes.items():
        print(in_lines(f"  {name:<11} {purpose}", terminal_width()))


def _list(arguments: Sequence[str]) -> None:
    if arguments:
        given = " ".join(arguments)
        raise BadInput(f"mixlab list takes nothing more, got {given!r}; mixlab run STUDY --list says more")
    found = installation.studies()
    width = max(map(len, found), default=0)
    for name, file in found.items():
        try:
            purpose = (ast.get_docstring(ast.parse(file.read_bytes())) or "").partition("\n")[0]
        except (SyntaxError, ValueError) as error:  # the file of another, or one that is being written
            purpose = f"cannot be read: {first_line(error)}"
        print(in_lines(f"{name:<{width}}  {purpose}", terminal_width()))


def _run(command: str, arguments: Sequence[str]) -> None:
    if not arguments:
        raise BadInput(
            f"mixlab {command} takes the name of a study first, such as ablation_cifar100; mixlab list names them all, "
            "and --help after a name lists its options"
        )
    file = installation.study_file(arguments[0])
    sys.argv = [str(file), *arguments[1:]]
    installation.command = f"mixlab {command} {arguments[0]}"
    sys.path.insert(0, str(file.parent.resolve()))  # as python FILE does
    installation.require_free_names()
    try:
        runpy.run_path(str(file), run_name="__main__")
    except SyntaxError as error:  # in the study, or in a module that it imports
        line = f", line {error.lineno}" if error.lineno else ""
        raise BadInput(f"{error.filename or file}{line}: {error.msg}") from None


def _tool(name: str, arguments: Sequence[str]) -> None:
    module, _ = TOOLS[name]
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise BadInput(f"mixlab {name} needs the package {module.partition('.')[0]!r}, which is not installed")
    installation.command = f"mixlab {name}"
    sys.argv = [installation.command, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=False)


if __name__ == "__main__":
    sys.exit(main())
