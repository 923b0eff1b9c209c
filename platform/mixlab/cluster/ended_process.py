"""Says how the process of a trial ended, which Ray does not: from the log of that process, on its own node.

A fatal signal leaves its name and the Python stack there. An exit code is nowhere: only Ray's own process could see it.
"""

import re
from pathlib import Path

import ray

from mixlab.cluster import nodes, ray_private

ANSWER_SECONDS = 10.0
SIGNAL = re.compile(r"^\*\*\* (SIG[A-Z]+) received", re.MULTILINE)
STACK = re.compile(r"^Fatal Python error: .*\n(?:.*\n)*?((?:  File .*\n)+)", re.MULTILINE)
FRAME = re.compile(r'  File "(.*)", line (\d+) in (.*)')


def account(node: str, pid: int) -> str:
    """Return a sentence that says how a process of a node, by Ray's id, ended, after the stack that it left, if any."""
    if node == ray.get_runtime_context().get_node_id():
        return in_words(*_log_of(pid))
    if node not in (there := nodes.alive()):
        return "its process ended, and its node is lost"
    answer = nodes.call_on(node, _log_of, pid)
    try:
        path, text = ray.get(answer, timeout=ANSWER_SECONDS)
    except ray.exceptions.RayError:
        path, text = "", ""
    return in_words(f"{path} on {nodes.names_of(there)[node]}" if path else "", text)


def in_words(path: str, text: str) -> str:
    """Return the account of a process whose log is at ``path`` and holds ``text``."""
    where = f"; its log is {path}" if path else ""
    if not (signal := SIGNAL.search(text)):
        return f"its process ended without a word, as by os._exit, SIGKILL or a machine short of memory{where}"
    stack = STACK.search(text)
    frames = stack[1].rstrip() if stack else ""
    frame = FRAME.match(frames)
    at = f" at {frame[1]}, line {frame[2]}, in {frame[3]}" if frame else ""
    return f"{frames}\nits process ended by {signal[1]}{at}{where}".lstrip("\n")


def _log_of(pid: int) -> tuple[str, str]:
    """Return the newest log of a process of this node, its path and its text; both are empty without one."""
    logs = sorted(ray_private.log_folder().glob(f"worker-*-{pid}.err"), key=lambda file: file.stat().st_mtime)
    return (str(logs[-1]), Path(logs[-1]).read_text(encoding="utf-8", errors="replace")) if logs else ("", "")
