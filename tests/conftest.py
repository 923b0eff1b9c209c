"""What every test process needs first. One thread each: two run side by side, and threads that wait are slow."""

import signal

import torch

import mixlab  # before any test imports ray, which reads the environment that mixlab sets
from tests.servers.postgresql import new_database, postgresql

torch.set_num_threads(1)

# What a shell runs in the background is deaf to SIGINT, with all its children: tests that interrupt one would fail.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["mixlab", "new_database", "postgresql"]
