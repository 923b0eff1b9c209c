"""The laws of every mixer of pixels, whatever it mixes by; a new member of MIXERS is tested at once."""

import inspect

import pytest
import torch
from torch import Generator, Tensor

from trainables.mixers import MIXERS
from trainables.mixers.mixed import Mixed, mixed_targets

B, C, H, W = 8, 3, 16, 12
ROUNDING = H * W * torch.finfo(torch.float32).eps  # in a mean of H * W numbers of order 1

# Inputs that a mixer may require besides the images; one that requires others mixes no pixels, or needs a network.
INPUTS = {
    "saliency": lambda images: torch.rand(len(images), *images.shape[2:], generator=Generator().manual_seed(1)),
    "attention": lambda images: torch.rand(len(images), 7, 5, generator=Generator().manual_seed(1)),
}


def required(name: str) -> set[str]:
    parameters = inspect.signature(MIXERS[name]).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty}


NAMES = [name for name in MIXERS if required(name) <= INPUTS.keys()]
MIXING = [name for name in NAMES if name not in ("none", "cutout", "augmix")]  # those with a second image
PER_BATCH = [name for name in NAMES if "per_batch" in inspect.signature(MIXERS[name]).parameters]

FEW = {"comixup": {"iterations": 2}}  # without and with soft cells

every_mixer = pytest.mark.parametrize("name", NAMES)


def mix(name: str, images: Tensor, seed: int = 0, **options: object) -> Mixed:
    inputs = {key: INPUTS[key](images) for key in required(name)}
    return MIXERS[name](images, Generator().manual_seed(seed), **inputs, **FEW.get(name, {}), **options)


def photographs(*shape: int) -> Tensor:
    """Return images in which every pixel is different."""
    return torch.rand(shape or (B, C, H, W), generator=Generator().manual_seed(7))


def flat(dtype: torch.dtype = torch.float32) -> Tensor:
    """Return images of one colour each."""
    return photographs(B, C, 1, 1).to(dtype).expand(B, C, H, W).contiguous()


def test_all_the_mixers_of_pixels_are_here():
    assert set(NAMES) >= {
        *("none", "cutout", "mixup", "cutmix", "resizemix", "fmix", "gridmix", "smoothmix"),
        *("saliencymix", "dmixup", "dcutmix", "saliency_dcutmix"),
    }


@every_mixer
def test_the_parts_of_a_mixed_batch_fit_together(name):
    images = photographs()
    mixed = mix(name, images)
    assert (mixed.images.shape, mixed.sources.shape) == (images.shape, mixed.weights.shape)
    assert (mixed.sources.dtype, mixed.weights.dtype) == (torch.int64, torch.float32)
    assert (mixed.weights >= 0).all()
    assert torch.equal(mixed.sources[:, 0], torch.arange(B))
    for source in mixed.sources.T:
        assert torch.equal(source.sort().values, torch.arange(B))  # a permutation
    for shares in (mixed.weights, mixed_targets(mixed, torch.arange(B), B)):
        torch.testing.assert_close(shares.sum(dim=1), torch.ones(B))


@every_mixer
def test_the_type_is_kept_and_the_weights_are_the_shares_of_the_pixels(name):
    """The mean pixel of images of one colour is the mean of the sources' colours by their weights."""
    types = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    for dtype, alpha in (*((dtype, 1.0) for dtype in types), *((torch.float64, alpha) for alpha in (1e-3, 0.2, 4.0))):
        images = flat(dtype)
        mixed = mix(name, images, alpha=alpha)
        assert (mixed.images.dtype, mixed.weights.dtype) == (dtype, torch.float32)
        if name in MIXING:
            expected = (mixed.weights[..., None].double() * images[mixed.sources, :, 0, 0].double()).sum(dim=1)
            error = max(8 * torch.finfo(dtype).eps, ROUNDING)  # a mixture of five images is rounded five times
            torch.testing.assert_close(mixed.images.double().mean(dim=(2, 3)), expected, rtol=0, atol=error)
            assert alpha < 1 or not torch.equal(mixed.images, images)
            assert alpha < 1 or mixed.weights[:, 0].unique().numel() > 2  # each row has its own lambda


def own_share(name: str, seed: int, **options: object) -> Tensor:
    """Return the share of the own image at each pixel, (rows, H, W), for rows that have another image as partner.

    The images are a red, a green and a blue one, so that a channel of the mixed image is the share of a source.
    """
    if "num_images" in inspect.signature(MIXERS[name]).parameters:
        options["num_images"] = 2
    colours = torch.eye(3)[:, :, None, None].expand(3, 3, H, W).contiguous()
    mixed = mix(name, colours, seed, **options)
    moved = mixed.sources[:, 1] != mixed.sources[:, 0]
    return mixed.images.diagonal(dim1=0, dim2=1).permute(2, 0, 1)[moved]


@pytest.mark.parametrize("name", [name for name in PER_BATCH if name in MIXING])
def test_per_batch_gives_one_lambda_and_one_mask_to_all_rows(name):
    weights = mix(name, photographs(), per_batch=True).weights
    assert torch.equal(weights, weights[:1].expand_as(weights))
    assert weights[0, 0] != mix(name, photographs(), seed=1, per_batch=True).weights[0, 0]
    compared = 0
    for seed in range(6):
        shares = own_share(name, seed, per_batch=True)
        assert torch.equal(shares, shares[:1].expand_as(shares))
        own = own_share(name, seed)
        compared += len(own) > 1 and not torch.equal(own, own[:1].expand_as(own))
    assert compared >= 2  # otherwise each row has its own


DRAWN_OTHERWISE = [("attentivemix", {"partner_alpha": 8.0}), ("gridmix", {"pattern": "cells"})]


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in NAMES), *DRAWN_OTHERWISE])
def test_the_generator_decides_everything(name, options):
    images, state = photographs(), torch.get_rng_state()
    first, again, other = (mix(name, images, seed, **options) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one, two) for one, two in zip(first[:3], again[:3], strict=True))
    assert torch.equal(images, photographs())  # they are left alone
    if name != "none":
        assert not torch.equal(first.images, other.images)
        assert first.images.data_ptr() != images.data_ptr()
        rng, moved = Generator().manual_seed(0), Generator().manual_seed(0)
        MIXERS[name](images, rng, **{key: INPUTS[key](images) for key in required(name)})
        assert not torch.equal(rng.get_state(), moved.get_state())  # the next batch is mixed otherwise


@pytest.mark.parametrize("name", [name for name in MIXING if not required(name)])
def test_gradient_flows_to_every_image_and_the_mixture_is_the_same(name):
    """CutMix pastes images in the memory of a processor box by box, and those with a gradient by a mask."""
    for options in ({}, {"per_batch": True})[: 1 + (name in PER_BATCH)]:
        images = photographs().requires_grad_()
        mixed = mix(name, images, **options)
        without = mix(name, photographs(), **options)
        torch.testing.assert_close(mixed.images.detach(), without.images, rtol=0, atol=ROUNDING)
        assert torch.equal(mixed.weights, without.weights)
        assert not mixed.weights.requires_grad
        (gradient,) = torch.autograd.grad(mixed.images.sum(), images)
        # Each pixel is made of pixels whose shares sum to 1.
        assert gradient.double().sum().item() == pytest.approx(images.numel(), rel=ROUNDING)
        assert (gradient.flatten(1) != 0).any(dim=1).all()


@pytest.mark.parametrize("name", [name for name in MIXING if not required(name)])
def test_a_batch_that_is_worked_on_in_portions_is_mixed_the_same(name, monkeypatch):
    for options in ({}, {"per_batch": True})[: 1 + (name in PER_BATCH)]:
        for images in (photographs(), photographs().to(memory_format=torch.channels_last)):
            whole = mix(name, images, **options)
            with monkeypatch.context() as small:
                small.setattr("trainables.mixers.mixed.PORTION", 3 * H * W)  # portions of 4 rows
                assert all(map(torch.equal, mix(name, images, **options)[:3], whole[:3]))


@every_mixer
def test_one_image_and_odd_sizes(name):
    for shape in ((1, 3, 16, 12), (1, 1, 9, 13), (3, 3, 7, 5), (2, 1, 33, 17), (2, 3, 2, 3)):
        mixed = mix(name, photographs(*shape))
        assert mixed.images.shape == shape
        assert 0 <= mixed.images.min() <= mixed.images.max() <= 1 + ROUNDING
        if shape[0] == 1 and name in ("mixup", "cutmix", "fmix", "gridmix", "smoothmix", "dmixup", "dcutmix"):
            torch.testing.assert_close(mixed.images, photographs(*shape))  # an image is mixed with itself


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("none", "cutout", "smoothmix")])
def test_an_impossible_alpha_is_refused_by_a_mixer_that_reads_it(name):
    for alpha in (0.0, -0.5, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=f"alpha must be above 0 and finite, got {alpha}"):
            mix(name, photographs(), alpha=alpha)


@every_mixer
def test_the_order_of_memory_changes_nothing(name):
    images = photographs()
    plain, last = mix(name, images), mix(name, images.to(memory_format=torch.channels_last))
    torch.testing.assert_close(last.images, plain.images, rtol=0, atol=ROUNDING)
    assert torch.equal(last.sources, plain.sources)
    assert torch.equal(last.weights, plain.weights)
    if name in ("mixup", "cutmix", "fmix"):
        assert last.images.is_contiguous(memory_format=torch.channels_last)
