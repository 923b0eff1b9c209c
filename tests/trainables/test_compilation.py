"""A compiled run: what is compiled of it, its numbers, and what is said of its speed."""

import importlib
from functools import partialmethod

import pytest
import torch
from torch import nn

from tests.trainables.runs import run_of, weights

PIN = "the pin of torch in constraints.txt: trainables.compilation sets torch._dynamo.config.recompile_limit"
DEFAULT_LIMIT = 8  # of the graphs that torch makes of one piece of code


@pytest.fixture
def graphs(monkeypatch):
    """Let a compiler leave what it is given as it is, as torch's own needs a minute; return all that it is given."""
    given = []

    def compiled(graph, inputs):
        given.append(graph)
        return graph.forward

    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend=compiled))
    return given


def test_the_limit_is_where_the_pinned_torch_has_it():
    assert hasattr(importlib.import_module("torch._dynamo.config"), "recompile_limit"), PIN


@pytest.mark.slow
def test_a_compiled_run_has_the_same_numbers_up_to_rounding_and_stays_as_it_is_when_it_is_timed(graphs):
    plain, compiled = (run_of(mixer="manifoldmix", epochs=1, compile=each) for each in (False, True))
    assert list(plain.method.state_dict()) == list(compiled.method.state_dict())
    for run in (plain, compiled):
        run.next_epoch()
    torch.testing.assert_close(weights(compiled), weights(plain), rtol=1e-4, atol=1e-5)
    before = {name: value.clone() for name, value in compiled.method.state_dict().items()}
    assert compiled.epoch().metrics["compile_speedup"] > 0
    assert "compile_speedup" not in plain.epoch().metrics
    assert all(torch.equal(value, before[name]) for name, value in compiled.method.state_dict().items())


@pytest.mark.slow
def test_every_stage_is_compiled_for_training_and_testing_in_every_run_of_a_process(graphs):
    counts = []
    for _ in range(2):
        graphs.clear()
        run = run_of(mixer="cutmix", compile=True, epochs=1)
        run.next_epoch()
        counts.append(len(graphs))
    assert counts[0] > DEFAULT_LIMIT  # four stages, each for both sizes of a training batch and for the test
    assert counts == [counts[0]] * 2
