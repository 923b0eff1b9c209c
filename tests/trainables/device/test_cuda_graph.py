"""A compiled step, and one as a CUDA graph as far as it shows without a GPU: ``tests/gpu`` has the rest."""

import importlib
import math
import sysconfig
from functools import partialmethod
from types import SimpleNamespace

import pytest
import torch
from torch import Generator, nn

from tests.trainables.runs import run_of, short_run, weights
from tests.trainables.test_cost import FEW
from trainables.classify import train
from trainables.config import parse
from trainables.device import compilation, cuda_graph
from trainables.methods import mixing
from trainables.mixers import MIXERS
from trainables.mixers.choice import choose, happens, no_choices
from trainables.optimisation.optimisers import build_optimiser, set_lr
from trainables.rehearsal import rehearse

CHOOSING = {"manifoldmix", "alignmix", "puzzlemix"}  # a layer, a definition, a grid
ATTENTIVE = {"transmix", "mergemix"}


def test_on_a_cpu_it_changes_nothing():
    plain, graphed = (run_of(8, mixer="cutmix", epochs=1, cuda_graph=each) for each in (False, True))
    for run in (plain, graphed):
        run.next_epoch()
    assert all(torch.equal(value, weights(plain)[name]) for name, value in weights(graphed).items())
    assert "graph_speedup" not in graphed.epoch().metrics


@pytest.mark.slow
@pytest.mark.parametrize("mixer", MIXERS)
def test_no_mixer_reads_a_number_back_and_one_is_refused_that_chooses_for_each_batch(mixer):
    """The step is taken on tensors without numbers, which raise for ``.item()`` or ``if tensor``."""
    backbone = "vit_tiny_32" if mixer in ATTENTIVE else "resnet8"
    keys = {"dataset": "cifar10", "mixer": mixer, "backbone": backbone, "cuda_graph": "auto"}
    config = parse({**keys, **FEW.get(mixer, {})})
    if mixer not in CHOOSING:
        assert cuda_graph.takes_graph(config)
        return
    rehearse(config)
    sentence = (
        f"cuda_graph must be 'auto' or False with mixer '{mixer}', got True: "
        "the program chooses something anew for each batch"
    )
    with pytest.raises(ValueError, match=sentence):
        cuda_graph.check(config)


@pytest.mark.parametrize(
    ("keys", "taken"),
    [
        ({}, False),
        ({"cuda_graph": True}, True),
        ({"cuda_graph": "auto"}, True),
        ({"cuda_graph": "auto", "optimiser": "lamb"}, False),
        ({"cuda_graph": "auto", "mixer": "mixup"}, True),
        ({"cuda_graph": "auto", "mixer": "mixup", "mixer.probability": 0.5}, False),  # whatever was asked before
    ],
)
def test_auto_takes_a_graph_where_the_step_can_be_one(keys, taken):
    config = parse({"dataset": "cifar10", "backbone": "resnet8", **keys})
    assert cuda_graph.takes_graph(config) is taken


def test_auto_takes_no_graph_where_several_processes_train_together(monkeypatch):
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "cuda_graph": "auto"})
    for processes in (1, 2):
        monkeypatch.setattr(cuda_graph.rows, "count", lambda count=processes: count)
        assert cuda_graph.takes_graph(config) is (processes == 1)


def test_every_whole_batch_from_the_fourth_on_goes_through_the_graph_and_no_step_is_taken_twice(monkeypatch):
    """The graph is a stand-in that takes the step when it is replayed."""
    seen, times = [], iter([0.6, 0.4, 0.5, 0.3, 0.1, 0.2])

    def step(images, labels):
        seen.append((images.tolist(), labels.tolist()))

    def captured(graphed, step, images, labels):
        graphed.images, graphed.labels = images.clone(), labels.clone()
        return SimpleNamespace(replay=lambda: seen.append("graph") or step(graphed.images, graphed.labels))

    monkeypatch.setattr(cuda_graph, "_aside", lambda step, images, labels: step(images, labels))
    monkeypatch.setattr(cuda_graph, "seconds_of", lambda compute: compute() or next(times))
    monkeypatch.setattr(cuda_graph.GraphedStep, "_captured", captured)
    graphed, wanted = cuda_graph.GraphedStep(batch_size=2), []
    for number in range(9):
        for size in (2, 1):  # the latter is smaller than the graph's
            graphed(step, torch.full((size,), number), torch.full((size,), -number))
        wanted += [*["graph"] * (number >= 3), ([number] * 2, [-number] * 2), ([number], [-number])]
    assert seen == wanted
    assert graphed.speedup == 0.4 / 0.1
    assert next(times, None) is None  # later steps are not timed, for which a GPU would be waited for


def test_a_choice_is_refused_where_none_may_be_made_and_there_only():
    rng = Generator().manual_seed(0)
    with pytest.raises(ValueError, match="chooses something anew"), no_choices():
        choose((1, 2), rng)
    with pytest.raises(ValueError, match="chooses something anew"), no_choices():
        happens(0.5, rng)
    assert choose((1,), rng) == 1


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_a_learning_rate_on_the_device_takes_the_same_steps(optimiser):
    config = parse({"dataset": "cifar10", "optimiser": optimiser, "lr": 0.5, "epochs": 4})
    networks = [torch.nn.Linear(1, 1, bias=False) for _ in range(2)]
    for network in networks:
        torch.nn.init.ones_(network.weight)
    number, tensor = (build_optimiser(config, config.lr, network) for network in networks)
    for group in tensor.param_groups:
        group |= {"lr": torch.tensor(group["lr"]), "fused": True}
    for epoch in range(4):
        for network, one in zip(networks, (number, tensor), strict=True):
            set_lr(one, config, epoch)
            one.zero_grad()
            network(torch.ones(1, 1)).sum().backward()
            one.step()
        assert float(number.param_groups[0]["lr"]) == pytest.approx(0.25 * (1 + math.cos(math.pi * epoch / 4)))
        assert float(tensor.param_groups[0]["lr"]) == pytest.approx(number.param_groups[0]["lr"])
        torch.testing.assert_close(networks[0].weight, networks[1].weight)


def test_a_checkpoint_of_a_gpu_goes_on_as_the_device_computes(tmp_path):
    first, second, whole = (short_run(4, optimiser="adamw", lr=1e-3) for _ in range(3))
    first.next_epoch()
    first.save(tmp_path)
    state = torch.load(tmp_path / "training.pt", weights_only=True)
    for group in state["optimiser"]["param_groups"]:
        group |= {"lr": torch.tensor(group["lr"]), "fused": True, "capturable": True}
    torch.save(state, tmp_path / "training.pt")
    second.restore(tmp_path)
    second.next_epoch()
    whole.next_epoch()
    whole.next_epoch()
    assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(second).items())


def test_a_step_that_reads_a_value_back_is_refused(monkeypatch):
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "mixer": "cutmix", "clean_loss": 0.5})
    alone = mixing.alone

    def reading(images):
        return alone(images) if float(images.sum()) > 0 else alone(-images)

    monkeypatch.setattr(mixing, "alone", reading)
    with pytest.raises(ValueError, match="cuda_graph must be 'auto' or False with mixer 'cutmix'"):
        cuda_graph.check(config)


PIN = "the pin of torch in constraints.txt: trainables.device.compilation sets torch._dynamo.config.recompile_limit"
DEFAULT_LIMIT = 8  # how many graphs torch makes of one piece of code


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


@pytest.mark.parametrize(
    ("program", "cxx", "gpu", "found"),
    [
        ("g++", None, False, True),
        ("gcc", None, False, False),  # torch's own code is C++
        ("clang", None, True, True),
        ("ccache", "ccache clang++", False, True),
        ("g++", "no-such", False, False),
        ("none", None, True, False),
    ],
)
def test_what_is_compiled_needs_a_compiler_where_it_runs(program, cxx, gpu, found, monkeypatch, tmp_path):
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    if cxx is not None:
        monkeypatch.setenv("CXX", cxx)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compilation, "DRIVER", tmp_path if gpu else tmp_path / "none")
    (tmp_path / program).touch(mode=0o755)
    if found:
        compilation.require_compiler()
        monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))  # as on Debian without python3-dev
        with pytest.raises(ValueError, match=rf"^compile=true needs '{tmp_path}/Python\.h': install python3-dev"):
            compilation.require_compiler()
        return
    with pytest.raises(ValueError, match=r"^compile=true needs a C\+\+ compiler: install g\+\+"):
        train.prepare(parse({"dataset": "cifar10", "compile": True}), tmp_path)


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
