"""The words that tell the machine of a run from another."""

import torch

from trainables.hardware import environment


def test_the_hardware_tells_of_the_threads_that_add_up():
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = environment(torch.device("cpu"))
        torch.set_num_threads(2)
        assert environment(torch.device("cpu")) == {**alone, "hardware": f"{alone['hardware']} and 2 threads"}
    finally:
        torch.set_num_threads(threads)
