"""One thread a test process: two of them run side by side, and threads that wait for each other are slow."""

import torch

from tests.postgresql import new_database, postgresql

torch.set_num_threads(1)

__all__ = ["new_database", "postgresql"]
