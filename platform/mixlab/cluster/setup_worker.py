"""Becomes a worker of Ray with the environment of its job, as Ray's own file of this name does.

That one imports all of Ray for it, which the worker then imports again: without this, a worker takes a quarter more of
a processor to start. It knows the environments that ``connect`` gives: of Python, and without a container.
"""

import json
import os
import re
import shlex
import sys

CONTEXT = "--serialized-runtime-env-context="
UNKNOWN = re.compile(r"\$\{[A-Z0-9_]+\}")  # variables that are not there


def main() -> None:
    """Become what the other words of the command line say, once the environment is set."""
    given = [word.removeprefix(CONTEXT) for word in sys.argv if word.startswith(CONTEXT)]
    context = json.loads(given[0]) if given else {}
    for name, value in context.get("env_vars", {}).items():
        os.environ[name] = UNKNOWN.sub("", os.path.expandvars(value))
    worker = [shlex.quote(word) for word in sys.argv[1:] if not word.startswith((CONTEXT, "--language="))]
    python = context.get("py_executable", sys.executable)
    os.execvp("bash", ["bash", "-c", " ".join([*context.get("command_prefix", ()), "exec", python, *worker])])


if __name__ == "__main__":
    main()
