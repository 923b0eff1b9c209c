"""What a trial asks for is checked against what there is, without Ray."""

import math
from contextlib import nullcontext
from unittest.mock import Mock

import pytest

from mixlab import Options
from mixlab.cluster import resources
from mixlab.cluster.resources import Share, checked_share, require_address, require_place, wanted_share
from tests.endings import refused

MACHINE = {"CPU": 8.0, "GPU": 2.0}


@pytest.mark.parametrize(("cpus", "threads"), [(0.25, 1), (1, 1), (2.9, 2), (16.0, 16)])
def test_a_trial_has_a_thread_for_each_whole_processor_and_at_least_one(cpus, threads):
    assert Share(cpus, 0).threads == threads


@pytest.mark.parametrize(
    ("cpus", "gpus", "sentence"),
    [
        (None, None, Share(1, 1)),
        (1, "auto", Share(1, 1)),
        (8, 2.0, Share(8, 2)),  # all that there is
        (0.0001, 0.0001, Share(0.0001, 0.0001)),  # the least that Ray counts
        (1, 0, Share(1, 0)),
        (8.5, 0, "--cpus-per-trial 8.5 is more than the machine has: give at most 8 (CPUs)"),
        (1, 3, "--gpus-per-trial 3 is more than the machine has: give at most 2 (GPUs)"),
        (0, 0, "--cpus-per-trial must be finite and at least 0.0001, got 0"),
        (math.nan, 0, "--cpus-per-trial must be finite and at least 0.0001, got nan"),
        (math.inf, 0, "--cpus-per-trial must be finite and at least 0.0001, got inf"),
        (1, -1, "--gpus-per-trial must be 0, or finite and at least 0.0001, got -1"),
        (1, 0.00005, "--gpus-per-trial must be 0, or finite and at least 0.0001, got 5e-05"),
        (1, math.inf, "--gpus-per-trial must be 0, or finite and at least 0.0001, got inf"),
        (1, math.nan, "--gpus-per-trial must be 0, or finite and at least 0.0001, got nan"),
        (1, 1.5, "--gpus-per-trial above 1 must be a whole number, got 1.5"),
    ],
)
def test_a_share_is_what_there_is_or_a_sentence(cpus, gpus, sentence):
    with nullcontext() if isinstance(sentence, Share) else refused(sentence):
        assert checked_share(cpus, gpus, MACHINE, "the machine") == sentence


def test_without_a_gpu_none_is_asked_for():
    for gpus in (None, "auto"):
        assert checked_share(None, gpus, {"CPU": 2.0}, "here") == Share(1, 0)
    with refused("--gpus-per-trial 1 is more than here has: give at most 0 (GPUs)"):
        checked_share(None, 1, {"CPU": 2.0}, "here")


def test_an_address_has_one_of_three_forms():
    for address in ("local", "auto", "head:6379", "10.0.0.1:1", "[::1]:6379"):
        require_address(address)
    for address in ("", "head", "head:", ":6379", "head:x", "head:²", "head:0", "head:65536", "ray://head:1", "Local"):
        with refused(f"--address must be local, auto or HOST:PORT, got {address!r}"):
            require_address(address)


def test_only_a_wish_for_this_machine_is_held_against_what_it_has(monkeypatch):
    """To ask torch for the number of GPUs takes seconds."""
    monkeypatch.setattr(resources, "this_machine", asked := Mock(return_value=MACHINE))
    for options in (Options(), Options(address="head:1", cpus_per_trial=9.0)):
        require_place(options)
    assert not asked.called
    with refused("--cpus-per-trial 9 is more than this machine has: give at most 8 (CPUs)"):
        require_place(Options(cpus_per_trial=9.0))
    with refused("--gpus-per-trial 3 is more than this machine has"):
        require_place(Options(gpus_per_trial=3.0))


def test_what_makes_sense_on_some_machine_may_be_wanted_and_a_gpu_is_counted_on():
    assert wanted_share(Options(cpus_per_trial=900.0, gpus_per_trial=30.0)) == Share(900, 30)
    assert wanted_share(Options()) == Share(1, 1)
    with refused("--cpus-per-trial must be finite and at least 0.0001, got 0"):
        wanted_share(Options(cpus_per_trial=0.0))
