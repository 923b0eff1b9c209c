"""The estimate of how long a run takes, from a few timed steps."""

import functools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.trainables.refusal import OF_TOKENS
from trainables import cost
from trainables.classify import train
from trainables.config import flatten, parse
from trainables.device import hardware
from trainables.methods import build_method
from trainables.methods.inputs import inputs_of
from trainables.mixers import MIXERS
from trainables.network_shapes import Undrawn

KEYS = {"dataset": "cifar10", "backbone": "resnet8", "batch_size": 4}
IMAGES = {**KEYS, "train_images": 500, "test_images": 100}
SETTINGS = parse(KEYS)
# Once through each loop shows all that a mixer does.
FEW = {
    "supermix": {"mixer.max_iter": 1},
    "comixup": {"mixer.iterations": 1},
    "augmix": {"mixer.width": 1, "mixer.depth": 1},
}
products = cost.products


@functools.cache
def counted(mixer: str) -> int:
    return products(parse({**KEYS, "mixer": mixer, **FEW.get(mixer, {})}))


@pytest.fixture
def timed_by_the_image(monkeypatch):
    """Let training take a millisecond an image, and a test a tenth of that."""
    monkeypatch.setattr(cost, "batch_seconds", lambda settings, size: (1e-3 * size, 1e-4 * size))
    monkeypatch.setattr(cost, "_measured", {})


@pytest.mark.parametrize(
    ("own", "batch_size", "threads", "sizes"),
    [
        *((0.03, 100, 1, [2, 20]), (0.06, 100, 1, [2, 8]), (0.5, 100, 1, [2])),
        *((0.03, 10, 1, [2, 10]), (0.06, 2, 1, [2]), (0.06, 1, 1, [1])),
        *((0.03, 100, 4, [2, 80]), (0.06, 100, 4, [2, 32]), (0.03, 100, 16, [2, 100])),  # so each has as much to do
    ],
)
def test_a_batch_takes_what_two_small_ones_say_of_a_step_and_of_an_image(own, batch_size, threads, sizes, monkeypatch):
    tried = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(cost, "batch_seconds", lambda _, size: tried.append(size) or (own + 0.001 * size, 0.0))
    config = parse({**IMAGES, "epochs": 2, "batch_size": batch_size})
    size = batch_size if len(sizes) == 2 else sizes[0]
    assert cost.seconds(config, Path("data")) == pytest.approx(2 * 500 * (own / size + 0.001))
    assert tried == sizes
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    cost.seconds(config, Path("data"))
    assert tried[len(sizes) :] == [batch_size]  # a GPU is timed as it trains


@pytest.mark.parametrize(
    ("on_gpu", "times", "least"),
    [(False, [0.2, 0.1], 0.1), (False, [0.1, 0.2], 0.1), (False, [0.6], 0.6), (True, [0.6, 0.1], 0.1)],
)
def test_mixing_is_timed_twice_unless_it_takes_long_on_the_cpu(on_gpu, times, least, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: on_gpu)
    monkeypatch.setattr(cost, "seconds_of", lambda compute: times.pop(0))
    assert cost.least_seconds(list) == least
    assert times == []


@pytest.mark.parametrize(
    ("keys", "trained", "tested"),
    [
        ({}, 500, 100),
        ({"recalibrate": True}, 500, 100 + 500),  # it takes as long as testing the training images
        ({"subset.rule": "random", "subset.share": 0.5}, 250, 100),
        ({"validation": 0.2}, 400, 200),
        ({"validation": 50}, 450, 150),
        ({"validation": 1}, 499, 101),
        ({"validation": 0.1, "evaluate": "validation"}, 450, 50),  # as the runs of a search
        ({"validation": 0.1, "evaluate": "validation", "subset.rule": "random", "subset.share": 0.5}, 225, 25),
    ],
)
@pytest.mark.usefixtures("timed_by_the_image")
def test_the_estimate_counts_the_images_that_a_run_trains_and_is_tested_on(keys, trained, tested):
    config = parse({**IMAGES, "epochs": 3, **keys})
    assert cost.seconds(config, Path("data")) == pytest.approx(3 * (trained * 1e-3 + tested * 1e-4))
    assert keys.keys() - {"subset.rule"} <= set(train.timed)


@pytest.mark.usefixtures("timed_by_the_image")
def test_the_images_of_a_folder_are_counted_once_and_assumed_where_it_cannot_be_read(tmp_path):
    keys = {**KEYS, "dataset": "folder", "folder": "mine", "num_classes": 2, "image_size": 32, "epochs": 3}

    def estimate(**others: object) -> object:
        return pytest.approx(cost.seconds(parse({**keys, **others}), tmp_path))

    assert estimate(folder="none") == 3 * (10_000e-3 + 10_000e-4)
    assert estimate(folder="none", validation=20_000) == 3 * 20_000e-4  # no more can be held out
    for name in ("train/a/1.png", "train/a/2.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"):
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).touch()
    assert estimate() == 3 * (3e-3 + 2e-4)
    (tmp_path / "mine" / "train" / "a" / "3.png").touch()
    assert estimate(test_images=1) == 3 * (3e-3 + 1e-4)
    assert estimate(train_images=2) == 3 * (2e-3 + 2e-4)


@pytest.mark.parametrize(
    ("keys", "steps", "graphed", "tests", "estimate"),
    [
        ({}, [0.2, 0.1, 0.15], None, [0.4, 1.0], (0.1, 0.4)),
        ({}, [0.2, 0.2, 0.2, 0.2, 0.2, 0.02, 0.01], "graph", [0.4, 0.1], (0.01, 0.1)),  # then the graph is there
        ({}, [0.6], None, [5.0], (0.6, 5.0)),
        ({"compile": True}, [60.0, 0.2, 0.1, 0.2], None, [30.0, 0.2, 0.1], (0.1, 0.1)),
    ],
)
def test_the_first_step_and_test_which_also_choose_kernels_are_not_what_others_take(
    keys, steps, graphed, tests, estimate, monkeypatch
):
    now, steps, tests = [0.0], [*steps], [*tests]

    def spend(times):
        now[0] += times.pop(0)

    run = SimpleNamespace(train_epoch=lambda _: spend(steps), evaluate=lambda _: spend(tests), train_set=None)
    run.graphed = graphed
    monkeypatch.setattr(cost, "_run", lambda *_: run)
    monkeypatch.setattr(hardware, "time", SimpleNamespace(thread_time=lambda: now[0]))
    assert cost.step_seconds(parse({**KEYS, **keys}), 4) == pytest.approx(estimate)
    assert steps == tests == []


def test_seconds_in_which_the_cpu_does_other_work_do_not_count_without_a_gpu(monkeypatch):
    assert hardware.seconds_of(lambda: time.sleep(0.02)) < 0.02
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: time.sleep(0.02))
    assert hardware.seconds_of(list) >= 0.02


def test_a_network_is_timed_once_for_all_mixers_and_methods(monkeypatch):
    timed = []

    def step_seconds(settings, size):
        assert parse(flatten(settings)) == settings  # its options are those of its mixer
        timed.append(settings.mixer)
        return 1.0, 0.5

    mixing = {"mixup": 0.25, "fmix": 0.75, "puzzlemix": 2.25, "manifoldmix": 0.5, "automix": 0.125}
    monkeypatch.setattr(cost, "_measured", {})
    monkeypatch.setattr(cost, "step_seconds", step_seconds)
    monkeypatch.setattr(cost, "mixing_seconds", lambda settings, size: mixing[settings.mixer])
    counts = {"mixup fixed none": 10, "automix fixed none": 30, "mixup learned none": 13, "mixup fixed u": 20}

    def products(config):
        return counts[f"{config.mixer} {config.sumix.lam} {config.sumix.regulariser}"]

    monkeypatch.setattr(cost, "products", products)
    mixed = {mixer: cost.batch_seconds(parse({**KEYS, "mixer": mixer}), 4) for mixer in mixing}
    passes = {"mixup": 1, "fmix": 1, "puzzlemix": 1 + 2 / 3, "manifoldmix": 1, "automix": 3}  # each takes 0.75
    assert mixed == {mixer: (0.75 * count + mixing[mixer], 0.5) for mixer, count in passes.items()}
    assert cost.batch_seconds(parse({**KEYS, "mixer": "fmix", "backbone": "resnet20"}), 4) == (1.5, 0.5)
    all_terms = {"sumix.lam": "learned", "sumix.regulariser": "su"}
    for mixer, terms, expected in (
        *(("fmix", {"sumix.lam": "learned"}, 1.3), ("fmix", {"sumix.regulariser": "s"}, 1.3)),  # one kind of step
        *(("fmix", {"sumix.regulariser": "u"}, 2), ("puzzlemix", all_terms, 2 + 2 / 3)),  # and one more
    ):
        config = parse({**KEYS, "mixer": mixer, **terms})
        assert cost.batch_seconds(config, 4) == pytest.approx((0.75 * expected + mixing[mixer], 0.5))
    for keys in ({"epochs": 7}, {"mixer.pipeline": "mp"}):
        assert cost.batch_seconds(parse({**KEYS, "mixer": "automix", **keys}), 4) == mixed["automix"]
    monkeypatch.setattr(cost, "products", None)  # they are not counted again for another layer
    assert cost.batch_seconds(parse({**KEYS, "mixer": "automix", "mixer.layer": 1}), 4) == mixed["automix"]
    cost.batch_seconds(parse({**KEYS, "mixer": "cutmix", "mixer.pipeline": "mp"}), 4)
    assert timed == ["mixup", "mixup", "cutmix"]


def test_products_are_counted_in_a_network_of_few_layers(monkeypatch):
    networks = []
    monkeypatch.setattr(cost, "step_seconds", lambda settings, size: (1.0, 0.5))
    monkeypatch.setattr(cost, "mixing_seconds", lambda settings, size: 0.0)
    monkeypatch.setattr(cost, "products", lambda settings: networks.append(settings.backbone) or 1)
    monkeypatch.setattr(cost, "_measured", {})
    cost.batch_seconds(parse({**KEYS, "mixer": "attentivemix", "backbone": "resnet101_imagenet"}), 4)
    cost.batch_seconds(parse({**KEYS, "mixer": "transmix", "backbone": "vit_tiny_32"}), 4)
    cost.batch_seconds(parse({**KEYS, "mixer": "fmix", "backbone": "resnet34", "sumix.lam": "learned"}), 4)
    assert networks == ["resnet18_imagenet"] * 2 + ["vit_tiny_32"] * 2 + ["resnet8"] * 2


@pytest.mark.slow
def test_the_products_of_a_step_are_those_of_its_passes_through_the_network():
    of = {mixer: counted(mixer) for mixer in ("none", "mixup", "attentivemix", "automix")}
    first, head = 2 * 2 * 32 * 32 * 16 * 3 * 9, 2 * 2 * 64 * 10  # the first convolution passes nothing to the pixels
    assert of["none"] == of["mixup"]
    assert of["attentivemix"] == of["mixup"] + (of["mixup"] + first) // 3 - head  # its map comes before the head
    assert of["automix"] > 2 * of["mixup"]


@pytest.mark.parametrize("mixer", [mixer for mixer in MIXERS if "encode" in inputs_of(mixer)])
def test_a_mixer_of_maps_adds_no_pass_through_the_network(mixer, capsys):
    assert inputs_of(mixer).keys() <= cost.MAPS_OF_A_PASS
    plain = counted("mixup")
    assert plain <= counted(mixer) < 1.05 * plain  # AlignMix compares maps by a few products of its own
    assert capsys.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize("mixer", [mixer for mixer in MIXERS if mixer not in OF_TOKENS])
def test_every_mixer_has_an_estimate(mixer, monkeypatch):
    monkeypatch.setattr(cost, "products", lambda settings: counted(settings.mixer))
    monkeypatch.setattr(cost, "SLOW_STEP", 1e-9)  # each step is timed once
    assert min(cost.batch_seconds(parse({**KEYS, "image_size": 16, "mixer": mixer, **FEW.get(mixer, {})}), 2)) > 0


def test_the_mixing_is_timed_once_for_all_networks_unless_it_depends_on_their_maps(monkeypatch):
    timed = []
    monkeypatch.setattr(cost, "_measured", {})
    monkeypatch.setattr(cost, "least_seconds", lambda compute: timed.append(mixer) or 1.0)
    for mixer in ("puzzlemix", "manifoldmix"):
        for backbone in ("resnet8", "resnet18"):
            cost.mixing_seconds(parse({**KEYS, "mixer": mixer, "backbone": backbone}), 2)
    assert timed == ["puzzlemix", "manifoldmix", "manifoldmix"]


def test_zeros_stand_in_for_draws_of_every_kind_and_move_no_random_state():
    state = torch.get_rng_state()
    for name in ("kaiming_normal_", "kaiming_uniform_", "xavier_uniform_", "trunc_normal_", "normal_"):
        weight = torch.ones(2, 3, requires_grad=True)
        with Undrawn():
            assert getattr(torch.nn.init, name)(weight) is weight
        assert not weight.any(), name
    assert torch.equal(torch.get_rng_state(), state)


def test_a_timed_run_sees_all_images_with_a_network_that_is_not_drawn_as_a_trained_one_is():
    subset = {"subset.rule": "random", "subset.share": 0.5, "train_images": 8, "test_images": 1}
    held_out = {"validation": 0.5, "evaluate": "validation", "drop_last": True}
    timed = cost._run(parse({**KEYS, **subset, **held_out}), cost.noise_splits(SETTINGS, 2))
    assert (len(timed.train_set), timed.validation_set, len(timed.test_set), timed.steps) == (2, None, 2, 1)
    assert all(not parameter.any() for name, parameter in timed.method.named_parameters() if "conv" in name)
    assert build_method(SETTINGS, 0).network.backbone.head.weight.any()
