"""The memory in use on this machine's GPUs, as ``nvidia-smi`` says it, for the display."""

import contextlib
import shutil
import subprocess

from mixlab.processes import repeated

EVERY_SECONDS = 2.0
QUERY = ("nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits")


class GpuMemory:
    """The memory in use; a thread asks for it inside ``watched``, because the answer may take a second."""

    def __init__(self) -> None:
        self.text = ""  # such as ``GPU memory 31 of 80 GB``; empty without a GPU, and before the first answer

    def watched(self) -> contextlib.AbstractContextManager[None]:
        """Ask inside the block, if this machine has the program."""
        there = shutil.which(QUERY[0]) is not None
        return repeated(self._ask, EVERY_SECONDS, "GPU memory") if there else contextlib.nullcontext()

    def _ask(self) -> None:
        try:
            done = subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True)
            self.text = in_words(done.stdout)
        except (OSError, subprocess.SubprocessError):
            self.text = ""


def in_words(answer: str) -> str:
    """Return the memory in use from lines of MiB ``used, total``; what a line does not say is left out."""
    lines = [[part.strip() for part in line.split(",")] for line in answer.splitlines()]
    used = [
        f"{int(one) / 1024:.0f} of {int(of) / 1024:.0f} GB"
        for one, of in (line for line in lines if len(line) == 2)
        if one.isdigit() and of.isdigit()
    ]
    return f"GPU memory {', '.join(used)}" if used else ""
