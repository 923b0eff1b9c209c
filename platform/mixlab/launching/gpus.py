"""The memory in use on this machine's GPUs, as ``nvidia-smi`` says it, for the display."""

import shutil
import subprocess
import threading

EVERY_SECONDS = 5.0
QUERY = ("nvidia-smi", "--query-gpu=memory.used,memory.total", "--format=csv,noheader,nounits")


class GpuMemory:
    """Asks in a thread of its own between ``start`` and ``stop``, because the answer may take a second."""

    def __init__(self) -> None:
        self.text = ""  # such as ``GPU memory 31 of 80 GB``; empty without a GPU
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True, name="gpu-memory")

    def start(self) -> None:
        """Ask from now on, if this machine has the program."""
        if shutil.which(QUERY[0]):
            self._thread.start()

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _ask(self) -> None:
        while True:
            try:
                done = subprocess.run(QUERY, capture_output=True, text=True, timeout=30, check=True)
                self.text = in_words(done.stdout)
            except (OSError, subprocess.SubprocessError):
                self.text = ""
            if self._over.wait(EVERY_SECONDS):
                return


def in_words(answer: str) -> str:
    """Return the memory in use from lines of MiB ``used, total``; what a line does not say is left out."""
    lines = [[part.strip() for part in line.split(",")] for line in answer.splitlines()]
    used = [
        f"{int(one) / 1024:.0f} of {int(of) / 1024:.0f} GB"
        for one, of in (line for line in lines if len(line) == 2)
        if one.isdigit() and of.isdigit()
    ]
    return f"GPU memory {', '.join(used)}" if used else ""
