"""A step is tried without numbers before anything starts: what cannot be run together is refused.

Nothing in a step reads a value back from its device, which would stall a GPU once a batch: on tensors without numbers
that raises. ``test_cuda_graph`` takes a step of every mixer; here are those with SUMix and other options, and what
follows them. What chooses a layer or a grid (``mixers/choice.py``) hashes the generator's state, which lies in the
memory of the host.
"""

import time

import pytest
import torch
from torch import Generator, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from tests.trainables.methods.small import LABELS, method_for, pixels
from tests.trainables.refusal import BASE, FOLDER, OF_TOKENS, check, require_refused
from trainables import network_shapes, rehearsal
from trainables.backbones import BACKBONES
from trainables.backbones.backbone import Backbone
from trainables.config import parse
from trainables.methods import METHODS, build_method
from trainables.methods.inputs import inputs_of
from trainables.mixers import MIXERS
from trainables.mixers.mixed import Mixed
from trainables.network_shapes import tried

ASKING = [name for name in MIXERS if inputs_of(name) or name in METHODS]


@pytest.mark.parametrize(
    "reads",
    [
        *(lambda x: x.sum().item(), lambda x: x[x > 0], lambda x: x.nonzero(), lambda x: bool(x[0] > 0)),
        *(lambda x: x.masked_select(x > 0), lambda x: int(x[0]), lambda x: nn.functional.one_hot(x.long())),
    ],
)
def test_a_tensor_without_numbers_raises_where_the_program_would_wait_for_the_device(reads):
    with FakeTensorMode(), pytest.raises(Exception, match=r"local_scalar|nonzero|masked_select"):
        reads(torch.rand(2, generator=Generator()))


def test_the_private_parts_of_torch_are_there():
    """This fails if an upgrade of the pinned torch has moved them: see ``trainables/rehearsal.py``."""
    draw, drawn = torch.nn.init.trunc_normal_, torch.nn.init.trunc_normal_(torch.zeros(100), std=1.0)
    assert drawn.unique().numel() > 1
    with rehearsal.without_numbers():
        layer = torch.nn.Linear(3, 4)
        torch.nn.init.trunc_normal_(layer.weight)
        assert type(layer.weight.data).__name__ == "FakeTensor", "torch 2.15 is pinned for FakeTensorMode"
    assert torch.nn.init.trunc_normal_ is draw


@pytest.mark.slow
def test_a_network_that_cannot_be_tested_at_another_size_than_in_training_says_so():
    config = {**BASE, **FOLDER, "augment": "rrc_flip", "image_size": 64, "test_size": 96}
    for backbone in ("resnet8", "timm/test_vit"):  # the latter takes images of any size
        check({**config, "backbone": backbone})
    check({**config, "backbone": "vit_tiny_32", "test_size": 64})
    require_refused({**config, "backbone": "vit_tiny_32"}, "'vit_tiny_32' cannot see images of 96x96 pixels")


OWN = Mixed(torch.zeros(3, 3, 32, 32), torch.arange(3).repeat(2, 1).T, torch.full((3, 2), 0.5))
NEXT = torch.tensor([0, 1])


@pytest.mark.parametrize(
    ("mix", "fault"),
    [
        (lambda images: images, "'own' must return a Mixed, got Tensor"),
        (lambda images: OWN._replace(images=images[:2]), "of [3, 3, 32, 32] in torch.float32, got [2, 3, 32, 32] in"),
        (lambda images: OWN._replace(images=images.double()), "'own' must return images of [3, 3, 32, 32] in torch.fl"),
        (lambda images: OWN._replace(sources=[[0, 1]] * 3), "the sources of mixer 'own' must be a tensor, got list"),
        (lambda images: OWN._replace(sources=OWN.sources + NEXT), "from 0 to 2, first each image itself, got [[0, 1],"),
        (lambda images: OWN._replace(sources=OWN.sources.roll(1, 0)), "got [[2, 2], [0, 0],"),
        (
            lambda images: OWN._replace(sources=OWN.sources.float()),
            "'own' must be (B, K) int64 from 0 to 2, first each",
        ),
        (lambda images: OWN._replace(weights=OWN.weights + 0.25), "shares that sum to 1, got [[0.75, 0.75],"),
        (
            lambda images: OWN._replace(weights=OWN.weights[:, 0]),
            "'own' must be (B, K) shares that sum to 1, got [0.5,",
        ),
        (lambda images: OWN._replace(weights=torch.tensor([[1.5, -0.5]] * 3)), "sum to 1, got [[1.5, -0.5],"),
        (
            lambda images: OWN._replace(images=images.zero_()),
            "'own' must leave the images that it is given as they are",
        ),
        (lambda images: images + images[:2], "'own' cannot mix images of 32x32 pixels (The size of tensor a"),
        (lambda images: [][0], "'own' cannot mix images of 32x32 pixels (IndexError: list index out of range)"),
    ],
)
def test_what_a_mixer_returns_in_another_form_is_refused(mix, fault, monkeypatch):
    monkeypatch.setitem(MIXERS.data, "own", lambda images, rng, *, alpha=1.0: mix(images))
    require_refused({**BASE, "mixer": "own"}, fault)
    double = OWN._replace(weights=OWN.weights.double())
    monkeypatch.setitem(MIXERS.data, "own", lambda images, rng, *, alpha=1.0: double)
    check({**BASE, "mixer": "own"})


def untyped(images, rng, alpha=1.0, shift=1, *, sides: list[int] = [1, 2]):  # noqa: B006
    return OWN._replace(sources=(OWN.sources + shift * NEXT) % 3)


def taken(images, rng, *, alpha=1.0, probability: float = 0.5):
    return OWN


def asking(images, rng, *, salience, alpha=1.0):
    return OWN


def test_the_options_of_a_mixer_are_its_arguments_with_a_default(monkeypatch):
    monkeypatch.setitem(MIXERS.data, "own", untyped)
    check({**BASE, "mixer": "own", "mixer.alpha": 0.2, "mixer.shift": 2, "mixer.sides": [3]})
    require_refused({**BASE, "mixer": "own", "mixer.shift": "far"}, "'own' cannot mix images of 32x32 pixels (TypeErr")
    monkeypatch.setitem(MIXERS.data, "own", taken)  # half of its batches would not have been mixed
    require_refused({**BASE, "mixer": "own"}, "mixer 'own' must rename its option 'probability'")
    monkeypatch.setitem(MIXERS.data, "own", asking)
    require_refused({**BASE, "mixer": "own"}, "of mixer 'own', 'salience'; did you mean 'saliency'?")


@pytest.mark.parametrize("mixer", ["automix", "samix", "adautomix"])
def test_masks_are_not_learned_from_a_backbone_of_one_stage(mixer, monkeypatch):
    def odd(*, num_classes, in_channels=3):
        return Backbone([nn.Conv2d(in_channels, 8, 3, padding=1)], 8, num_classes)

    monkeypatch.setitem(BACKBONES.data, "whole", odd)
    require_refused({**BASE, "backbone": "whole", "mixer": mixer}, "a backbone of several stages", "'whole'")


@pytest.mark.slow
def test_grids_of_more_cells_than_the_noise_has_are_resolved_where_the_image_has_the_pixels():
    config = {**BASE, "mixer": "puzzlemix"}
    for blocks in ((64, 224), (2, 300)):
        check({**config, "mixer.blocks": blocks, "image_size": 224})
    require_refused({**config, "mixer.blocks": (33,)}, "blocks must hold a number up to 32", "(33,)")
    require_refused({**config, "mixer.blocks": (225,), "image_size": 224}, "up to 224", "(225,)")


@pytest.mark.slow
def test_a_last_batch_of_one_image_is_refused_where_batch_norm_would_fail():
    small = {"train_images": 9, "batch_size": 8, "backbone": "resnet18", "image_size": 8}
    with pytest.raises(ValueError, match=r"^the last batch of 9 training images has 1 image.*drop_last.*batch_size"):
        check({**BASE, **small})
    lone_images = (({"batch_size": 1}, "another batch_size than 1"), ({"train_images": 1}, "more training images"))
    for lone, way_out in lone_images:
        with pytest.raises(ValueError, match=rf"of this size: give {way_out}$"):  # drop_last would leave no image
            check({**BASE, **small, **lone})
    # The last map of resnet8 has more than one pixel, even of one image.
    for fine in ({"drop_last": True}, {"backbone": "resnet8"}, {"train_images": 10, "validation": 2}):
        check({**BASE, **small, **fine})
    with pytest.raises(ValueError, match="the last batch of 9 training images"):
        check({**BASE, **small, "train_images": 10, "validation": 1})


@pytest.mark.parametrize(
    ("backbone", "side", "maps"),
    [
        ("resnet8", 32, [(16, 32), (16, 32), (32, 16), (64, 8)]),
        ("resnet18_imagenet", 64, [(64, 16), (64, 16), (128, 8), (256, 4), (512, 2)]),
        ("vit_tiny_32", 32, [(96, 8)] * 5),  # patches of 4 pixels, and the class token is no part of a map
    ],
)
def test_the_shapes_of_the_maps_are_those_of_the_image_and_of_every_stage(backbone, side, maps):
    found = tried(parse({**BASE, "backbone": backbone, "image_size": side})).shapes
    assert [tuple(shape) for shape in found] == [(channels, side, side) for channels, side in [(3, side), *maps]]


@pytest.mark.parametrize(
    ("keys", "images", "tried"),
    [
        ({}, 9, True),
        *(({}, images, False) for images in (1 + 9, 8, 16, 5)),
        ({"accumulate": 2}, 13, True),  # the last batch has parts of 4 and of 1
        ({"accumulate": 8}, 8, True),
        *(({"batch_size": 1, "drop_last": each}, 8, True) for each in (False, True)),
        *(({"drop_last": True}, images, False) for images in (9, 8)),
    ],
)
def test_a_step_of_one_image_is_tried_where_a_part_of_a_batch_will_have_but_one(keys, images, tried, monkeypatch):
    steps = []
    monkeypatch.setattr(rehearsal, "rehearse", lambda config, images: steps.append(images))
    config = parse({**BASE, "batch_size": 8, **keys})
    rehearsal.check_batches(config, images)
    assert steps == [1] * tried
    given = {**BASE, "batch_size": 8, **keys, "train_images": images + 5, "validation": 5}
    check(given)
    assert steps == [1] * tried * 2
    check({**given, "subset.rule": "random", "subset.share": 0.5})  # how large that is, its file says
    assert steps == [1] * tried * 2


def test_a_fault_of_a_step_that_is_not_batch_norms_keeps_its_own_words(monkeypatch):
    def rehearse(config, images):
        raise ValueError("the mixer needs two images")

    monkeypatch.setattr(rehearsal, "rehearse", rehearse)
    with pytest.raises(ValueError, match=r"^the mixer needs two images$"):
        rehearsal.check_batches(parse({**BASE, "batch_size": 8}), 9)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_is_resolved_with_every_mixer_that_asks_it(backbone):
    """Every pair is, except mixers of tokens with networks without a class token; also with the released SUMix."""
    given = {**BASE, "backbone": backbone, "image_size": 64}
    for mixer in ASKING:
        config = {**given, "mixer": mixer, **({"mixer.layer": 2} if mixer in ("automix", "samix", "adautomix") else {})}
        if mixer in OF_TOKENS and backbone not in ("deit_small", "vit_tiny_32"):
            needed = "a backbone with the attention of a class token|the backbone 'deit_small'"
            with pytest.raises(ValueError, match=f"needs ({needed})"):
                check(config)
        else:
            check(config)
    check({**given, "mixer": "cutmix", "sumix.preset": "release", "sumix.lam": "learned"})


@pytest.mark.parametrize("mixer", ["puzzlemix", "comixup", "automix"])
def test_a_configuration_that_differs_in_numbers_alone_is_resolved_at_once(mixer, monkeypatch):
    sumix = {} if mixer == "comixup" else {"sumix.lam": "learned", "sumix.regulariser": "su"}
    config = {**BASE, "mixer": mixer, **sumix}
    check(config)
    monkeypatch.setattr(rehearsal, "_method", None)  # nothing is built once more
    monkeypatch.setattr(network_shapes, "build_network", None)
    start = time.thread_time()
    check({**config, "mixer.alpha": 0.31, **({"sumix.zeta": 0.7} if sumix else {}), "lr": 0.03, "epochs": 7})
    assert time.thread_time() - start < 1


@pytest.mark.parametrize(
    ("mixer", "key", "value"),
    [
        ("automix", "mixer.block_min_lr", 0.3),
        ("automix", "sumix.raw_statistics", "leave"),
        ("augmix", "mixer.probability", 0.5),
        ("adautomix", "clean_loss", 1.0),
    ],
)
def test_what_a_method_refuses_is_found_after_it_has_accepted_another_value(mixer, key, value):
    check({**BASE, "mixer": mixer})
    require_refused({**BASE, "mixer": mixer, key: value}, key, str(value))


def test_nothing_is_left_behind():
    state = torch.get_rng_state()
    check({**BASE, "mixer": "cutmix", "sumix.lam": "learned", "recalibrate": True})
    assert torch.equal(torch.get_rng_state(), state)
    method = build_method(parse({**BASE, "mixer": "cutmix"}), 0)
    assert all(type(p) is torch.nn.Parameter for p in method.parameters())


SUMIX = {"sumix.lam": "learned", "sumix.regulariser": "su"}
QUICK = [
    *(("cutmix", {**SUMIX, "sumix.preset": preset}) for preset in ("paper", "release")),
    ("cutmix", {"mixer.pipeline": "mp_ce", "mixer.probability": 0.5}),
    ("cutmix", {"ema": 0.9, "clean_loss": 1.0, "label_smoothing": 0.1}),
    ("mixup", {"loss": "binary"}),
    ("saliencymix", {"mixer.saliency_input": "raw_float", "mixer.per_batch": True}),
]
SLOW = [
    ("augmix", {"mixer.legacy": True}),
    ("automix", {}),
    *(("automix", {**SUMIX, "sumix.preset": preset}) for preset in ("paper", "release")),
    ("automix", {"mixer.pipeline": "none", "automix.preset": "paper"}),
    ("dcutmix", {**SUMIX, "sumix.raw_statistics": "leave"}),
]


@pytest.mark.parametrize(("mixer", "keys"), [*QUICK, *(pytest.param(*step, marks=pytest.mark.slow) for step in SLOW)])
def test_a_step_reads_nothing_back(mixer, keys):
    method = method_for(mixer, **keys)
    with rehearsal.without_numbers():
        for module in method.modules():  # each once: a pipeline names its network twice, which cannot be swapped twice
            module.to_empty(device="cpu", recurse=False)
        method(pixels(), LABELS, Generator()).loss.backward()
        method.after_step(0.5)
