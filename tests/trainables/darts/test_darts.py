"""A search and the training of what it found: by hand, a known answer, resumed with the same numbers, and its cost."""

import itertools
import json
from pathlib import Path

import pytest
import torch
from torch import Generator, nn

from tests.trainables.darts.small import SMALL, coloured, resumed
from trainables import cost
from trainables.darts import operations, search_cost, search_phase, search_run
from trainables.darts.genotype import Genotype
from trainables.darts.operations import OPERATIONS
from trainables.darts.retraining import Retraining
from trainables.darts.search_config import DEFAULTS, flatten, parse
from trainables.darts.search_phase import SearchPhase, search_step
from trainables.darts.search_run import SearchRun
from trainables.darts.supernet import SuperNet
from trainables.darts.testing import mean_loss, normalised
from trainables.device.hardware import set_up
from trainables.epoch import Diverged
from trainables.search_architecture import train
from trainables.seeds import derive_seed, generator

CPU = torch.device("cpu")


class Scaled(nn.Module):
    """A classifier of three numbers into two classes whose architecture is one number that multiplies the logits."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[1.0, 0.5, -1.0], [0.2, -0.3, 0.4]]))
        self.scale = nn.Parameter(torch.tensor(0.7))

    def weights(self):
        yield self.weight

    def forward(self, images):
        return self.scale * images @ self.weight.T


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("grad_clip", [1e-3, 100.0])
def test_a_step_takes_that_of_the_architecture_first_and_cuts_the_gradient_of_the_weights(frozen, grad_clip):
    rng = Generator().manual_seed(0)
    batch, other = ((torch.randn(5, 3, generator=rng), torch.randint(2, (5,), generator=rng)) for _ in range(2))
    net, by_hand = Scaled(), Scaled()
    optimisers = torch.optim.SGD([net.weight], 0.1), torch.optim.SGD([net.scale], 0.2)
    for number in range(2):
        found = search_step(net, optimisers, batch, None if frozen else other, grad_clip)
        if not frozen:
            loss = nn.functional.cross_entropy(by_hand(other[0]), other[1])
            by_hand.scale.data -= 0.2 * torch.autograd.grad(loss, by_hand.scale)[0]
        loss = nn.functional.cross_entropy(by_hand(batch[0]), batch[1])
        (gradient,) = torch.autograd.grad(loss, by_hand.weight)
        by_hand.weight.data -= 0.1 * gradient * min(1.0, grad_clip / gradient.norm().item())
        assert found.item() == pytest.approx(loss.item()), number
        torch.testing.assert_close(net.state_dict(), by_hand.state_dict())


def test_an_epoch_of_a_search_gives_each_half_to_its_own_question(monkeypatch):
    run = SearchRun(parse({**SMALL, "search_lr": 0.4, "search_min_lr": 0.2}), 0, coloured(24), coloured(24), CPU)
    phase, steps, tested = run.search, [], []
    torch.manual_seed(derive_seed(0, "init"))
    drawn = SuperNet(SMALL["operations"], 4, 3, 10, 4, generator(0, "architecture"))
    assert all(map(torch.equal, phase.supernet.state_dict().values(), drawn.state_dict().values()))
    (sgd,), (adam,) = phase.weights.param_groups, phase.architecture.param_groups
    assert (sgd["momentum"], sgd["weight_decay"]) == (0.9, 3e-4)
    assert (adam["lr"], adam["betas"], adam["weight_decay"]) == (0.01, (0.5, 0.999), 1e-3)

    def step(supernet, optimisers, batch, other, grad_clip):
        assert (supernet, optimisers, grad_clip) == (phase.supernet, (phase.weights, phase.architecture), 5.0)
        assert supernet.training
        assert supernet.head.weight.grad is None
        steps.append((phase.weights.param_groups[0]["lr"], batch, other))
        return torch.tensor(float(len(steps)))

    monkeypatch.setattr(search_phase, "search_step", step)
    monkeypatch.setattr(phase, "test", lambda source: tested.append(source) or {"top1": 12.5})
    phase.supernet.eval()  # as the test of the epoch before leaves it
    found = [phase.epoch(number) for number in (1, 2)]
    assert tested == [phase.sources[1]] * 2
    assert found == [{"train_loss": 2.0, "search_top1": 12.5}, {"train_loss": 5.0, "search_top1": 12.5}]
    rates, batches, others = zip(*steps, strict=True)
    assert rates == pytest.approx([0.4] * 3 + [0.3] * 3)  # half a cosine, of which an epoch has one value
    assert others[:3] == (None,) * 3  # one epoch is frozen
    for half, source, seen in zip(("weights", "architecture"), phase.sources, (batches[3:], others[3:]), strict=True):
        wanted = source.train_batches(4, generator(0, f"data-{half}", 2), generator(0, f"augment-{half}", 2))
        for (images, labels), (pixels, own) in zip(wanted, seen, strict=True):
            assert torch.equal(pixels, normalised(images, phase.dataset))
            assert torch.equal(own, labels)


class Noise(nn.Module):
    """An operation that no network can use: what comes out has nothing to do with what goes in."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, maps):
        return 3 * torch.randn_like(maps[:, :, :: self.stride, :: self.stride])


@pytest.mark.slow
def test_the_one_good_operation_is_found(monkeypatch):
    """Every edge takes the one operation that lets the class through, and neither of the two that only make noise."""
    for name in ("noise_a", "noise_b"):
        monkeypatch.setitem(operations.OPERATIONS, name, lambda width, stride, affine: Noise(stride))
    torch.manual_seed(0)
    net = SuperNet(("noise_a", "skip_connect", "noise_b"), 4, 3, 4, 1, Generator().manual_seed(0)).train()
    optimisers = torch.optim.SGD(net.weights(), 0.05, momentum=0.9), torch.optim.Adam(net.architecture(), 0.05)

    def batch():
        labels = torch.randint(4, (32,))
        return labels[:, None, None, None] - 1.5 + 0.3 * torch.randn(32, 3, 8, 8), labels

    losses = [search_step(net, optimisers, batch(), batch(), 5.0) for _ in range(60)]
    assert losses[-1] < losses[0]
    assert {name for cell in net.genotype() for name, _ in cell} == {"skip_connect"}


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_numbers(tmp_path):
    """It may be interrupted in the search, after it, or in the training of the network that was found."""
    last = resumed(lambda: SearchRun(parse(SMALL), 0, coloured(), coloured(), CPU), tmp_path, 1).history[-1]
    assert set(last.metrics) >= {"search_seconds", "params", "mflops", "test_top1_error"}


@pytest.mark.slow
def test_more_steps_read_no_more_numbers_from_the_device(monkeypatch):
    """A GPU is waited for once an epoch, in the search and in the training of what was found.

    Adam, which the frozen architecture does not need, counts its steps in a tensor that is never on a GPU.
    """
    reads = []
    for name in ("item", "tolist", "__float__", "__int__", "__bool__"):
        usual = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name, lambda tensor, usual=usual: reads.append(1) or usual(tensor))

    def counts(images):
        run = SearchRun(parse(SMALL), 0, coloured(images), coloured(images), CPU)
        for _ in range(3):  # the architecture learns in the second
            reads.clear()
            run.next_epoch()
            yield len(reads)

    few, many = (list(counts(images)) for images in (8, 24))
    assert few[::2] == many[::2]


@pytest.fixture
def counted_run(monkeypatch):
    """Return a function that starts a run whose epochs do nothing but say how they were asked for."""
    asked, ticks = [], itertools.count()
    monkeypatch.setattr(search_run.time, "perf_counter", lambda: float(next(ticks)))

    def search(phase, number):
        asked.append(("search", number, torch.initial_seed()))
        return {"train_loss": 1.0, "search_top1": 5.0}

    def retrain(phase, number, done):
        asked.append(("retrain", number, done, torch.initial_seed()))
        return {"train_loss": 2.0, "test_top1": 6.0}

    monkeypatch.setattr(SearchPhase, "epoch", search)
    monkeypatch.setattr(Retraining, "epoch", retrain)
    return lambda **keys: (SearchRun(parse({**SMALL, **keys}), 3, coloured(), coloured(), CPU), asked)


@pytest.mark.slow
def test_a_run_searches_and_then_trains_what_was_found(counted_run, tmp_path):
    run, asked = counted_run()
    assert run.words["data"] == run.search.fingerprint
    files = []
    while not run.finished:
        assert (run.genotype is None) == (len(run.history) < 2)
        run.next_epoch()
        run.save(tmp_path)
        files.append({file.name for file in tmp_path.iterdir()})
    seeds = [derive_seed(3, "network", number) for number in (1, 2, 3, 4)]
    assert asked == [
        *(("search", number, seeds[number - 1]) for number in (1, 2)),
        *(("retrain", number, number - 3, seeds[number - 1]) for number in (3, 4)),
    ]
    begun, found = {"training.pt"}, {"training.pt", "genotype.json"}
    assert files == [begun, found, found, found | {"model.pt"}]
    assert [(epoch.number, epoch.of) for epoch in run.history] == [(number, 4) for number in (1, 2, 3, 4)]
    assert run.history[1].metrics == {"train_loss": 1.0, "search_top1": 5.0, "train_seconds": 1.0}
    whole = {"search_seconds": 2.0, "train_seconds_total": 2.0, **run.retraining.sizes()}
    assert run.history[3].metrics == {"train_loss": 2.0, "test_top1": 6.0, "train_seconds": 1.0, **whole}
    again, _ = counted_run()
    again.restore(tmp_path)
    assert again.history == run.history
    assert again.genotype == run.genotype == run.search.supernet.genotype()


def test_the_loss_of_an_epoch_is_the_mean_over_its_images_and_ends_a_search_that_diverges(counted_run, monkeypatch):
    assert mean_loss([(torch.tensor(1.0), 3), (torch.tensor(5.0), 1)]) == 2.0
    run, _ = counted_run()
    monkeypatch.setattr(SearchPhase, "epoch", lambda phase, number: {"train_loss": float("nan")})
    with pytest.raises(Diverged, match=r"^the training loss became nan in epoch 1$"):
        run.next_epoch()


def test_what_a_process_has_trained_before_decides_no_number_of_a_search():
    set_up(deterministic=True)
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("highest")
    SearchRun(parse({**SMALL, "genotype": "pc_darts_cifar10"}), 0, None, coloured(), CPU)
    assert not torch.are_deterministic_algorithms_enabled()
    assert not torch.backends.cudnn.benchmark
    assert torch.get_float32_matmul_precision() == "high"


def test_the_search_sees_the_subset_in_halves_and_the_training_all():
    run = SearchRun(parse({**SMALL, "subset.rule": "random", "subset.share": 0.5}), 0, coloured(80), coloured(80), CPU)
    assert [len(part) for part in run.search.sources] == [20, 20]
    assert len(run.images.train) == 80


PAPER = {
    **{"search_epochs": 50, "search_batch_size": 256, "search_lr": 0.1, "search_channels": 16, "search_cells": 8},
    **{"partial": 4, "frozen_epochs": 15, "architecture_lr": 6e-4, "architecture_weight_decay": 1e-3},
    **{"epochs": 600, "batch_size": 96, "lr": 0.025, "channels": 36, "cells": 20, "auxiliary": 0.4, "cutout": 16},
    **{"drop_path": 0.3, "momentum": 0.9, "weight_decay": 3e-4, "grad_clip": 5.0},
}


def test_the_configuration_survives_the_flat_form_and_has_the_papers_values():
    settings = parse({**SMALL, "subset.rule": "random", "subset.share": 0.2, "augment.padding": "zeros"})
    assert parse(flatten(settings)) == settings
    assert {key: getattr(DEFAULTS, key) for key in PAPER} == PAPER


@pytest.mark.slow
def test_the_small_setting_learns_on_real_images(tmp_path):
    """A search with 8 channels and 4 cells on a part of CIFAR-10, and the training of what it finds."""
    small = {
        **{**train.presets["quick"], "search_epochs": 2, "epochs": 4, "batch_size": 16},
        **{"subset.rule": "random", "subset.share": 0.25, "train_images": 400, "test_images": 200},
    }
    assert (small["search_channels"], small["search_cells"]) == (8, 4)
    data = Path(__file__).parents[3] / "data"
    saved = []
    last = train(small, 0, lambda epoch, save: saved.append((epoch.metrics, save(tmp_path))), data_root=data)
    assert last.metrics["test_top1"] > 20  # twice as often as by chance
    found = Genotype.of(json.loads((tmp_path / "genotype.json").read_text()))
    assert {name for cell in found for name, _ in cell} <= set(OPERATIONS) - {"none"}
    assert last.metrics["search_seconds"] > 0


TIMED = {
    **{"dataset": "cifar10", "train_images": 1000, "test_images": 300, "batch_size": 8},
    **{"search_epochs": 5, "frozen_epochs": 2, "search_batch_size": 8, "search_channels": 4, "search_cells": 3},
    **{"epochs": 7, "channels": 4, "cells": 3, "operations": ("none", "skip_connect", "sep_conv_3x3")},
}


@pytest.fixture
def seconds(monkeypatch):
    """Return the estimate, where the first step that is timed takes a second, the second two seconds, and so on."""
    taken = itertools.count(1)
    monkeypatch.setattr(cost, "_measured", {})
    monkeypatch.setattr(search_cost, "least_seconds", lambda step: (step(), next(taken))[1])  # each is really taken
    return lambda **keys: train.estimate_seconds(train.resolve({**TIMED, **keys}).settings, Path("data"))


@pytest.mark.slow
def test_a_search_and_the_training_of_what_it_finds_are_estimated(seconds):
    batches = 1000 / 2 / 8  # in one half of the images
    search = batches * (2 * 1 + 3 * 2)
    test, training = 3, 4 - 3  # seconds for a batch
    retraining = 7 * (1000 / 8 * training + 300 / 8 * test)
    assert seconds() == pytest.approx(search + retraining)
    half = seconds(**{"subset.rule": "random", "subset.share": 0.5})  # whose steps are the same, and not timed again
    assert half == pytest.approx(search / 2 + retraining)


@pytest.mark.slow
def test_a_known_network_is_only_trained_in_parts_of_a_batch(seconds):
    assert seconds(genotype="pc_darts_imagenet") == pytest.approx(7 * (1000 / 8 * 1 + 300 / 8 * 1))
    large = {"retrain.dataset": "imagenet", "batch_size": 64, "retrain.accumulate": 8}
    found = seconds(genotype="pc_darts_imagenet", **large)
    assert found == pytest.approx(7 * (1_281_167 * (4 - 3) + 50_000 * 3) / 2)  # two images a step
