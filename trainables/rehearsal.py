"""Finds within a second, before anything starts, any fault of a configuration that no file could fix.

The mixer mixes some images of noise, with noise in place of the network's answers; the network and its method are
built on torch's device without numbers, ``meta``, once for all configurations that differ only in real numbers.

A whole training step also draws numbers, for which ``meta`` has no generator. It is taken on fake tensors, which have
a shape and a device but no numbers. They are private to torch: this is the one file that uses ``FakeTensorMode``, and
that replaces ``nn.init.trunc_normal_``, which reads a number back since torch 2.15. Some networks, such as timm's, read
numbers while they are built, so all are built outside that mode, and then moved into it.

Shape letters: B batch, C channels, H height, W width, L classes.
"""

import contextlib
import reprlib
import warnings
from collections.abc import Hashable, Iterator, Sequence

import torch
from torch import Generator, Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from trainables.backbones.backbone import Network
from trainables.backbones.modes import batch_norms
from trainables.backbones.pretrained import TIMM
from trainables.config import Config
from trainables.datasets.data_config import held_out_count
from trainables.datasets.opening import dataset_of
from trainables.methods import METHODS
from trainables.methods.attention_extractor import CELLS
from trainables.methods.inputs import inputs_of
from trainables.methods.mixing import SUMIX_PRESETS, Mixing
from trainables.methods.network import build_network
from trainables.mixers import MIXERS, parameters_of
from trainables.mixers.mixed import Mixed
from trainables.mixers.puzzlemix import fitting
from trainables.mixers.stylemix import Codec
from trainables.network_shapes import Undrawn, Unnormalised, check_test_size, network_key, tried
from trainables.refusals import counted, refused, require_known, require_unset

LONE_IMAGE = "Expected more than 1 value per channel"  # said by torch's batch norm for one image whose map is one pixel
NOISE_SIDE = 32  # pixels
NOISE_IMAGES = 3  # at most; with two, a mixer of a whole group of images would make pairs

_built: set[Hashable] = set()  # the methods that could be built


def check(config: Config) -> None:
    """Raise ``ValueError``, one sentence, for any fault of ``config`` that no file could fix."""
    METHODS.get(config.mixer, Mixing).check(config)
    check_test_size(config)
    mixed = mix_noise(config)
    if config.sumix.any:
        classes = dataset_of(config).num_classes
        features, logits = (torch.zeros(len(mixed.images), width) for width in (2, classes))
        with torch.random.fork_rng(devices=[]):  # because the layer of Eq. 5 is drawn
            sumix = SUMIX_PRESETS[config.sumix.preset](2, classes, config.sumix)
        sumix(features, logits, features, logits, features[:, 0].long(), mixed)
    if config.mixer in METHODS or inputs_of(config.mixer):
        build(config)
    if config.pretrained not in ("none", TIMM) and dataset_of(config).image_shape[0] != 3:  # timm adapts its weights
        here = f"with dataset {config.dataset!r}"
        require_unset("pretrained", config.pretrained, ["none"], "images of three channels", here)
    if not batch_norms(tried(config).network):
        here = f"with backbone {config.backbone!r}"
        require_unset("recalibrate", config.recalibrate, [False], "networks with batch norm", here)
    if config.num_train is not None and config.subset.rule == "none":  # only its file says how large a subset is
        check_batches(config, config.num_train - held_out_count(config.validation, config.num_train))


def check_batches(config: Config, images: int) -> None:
    """Raise ``ValueError`` if the network cannot be trained on the batches of this number of training images."""
    size = config.batch_size
    if config.drop_last and images < size:
        raise ValueError(f"batch_size must be at most {images}, all training images, with drop_last, got {size}")
    if config.part_size > 1 and (config.drop_last or images % config.part_size != 1):
        return
    if tried(config).device.type != "meta":  # it reads numbers back, and a step without them would stop
        return
    try:
        rehearse(config, images=1)
    except ValueError as error:
        if LONE_IMAGE not in str(error):
            raise
        lone = f"the last batch of {counted(images, 'training image')} has 1 image, and the batch norm of"
        drop = "set drop_last, or " if config.part_size > 1 and images > size else ""  # else no image would be left
        way_out = f"give another batch_size than {size}" if images > 1 else "give more training images"
        raise ValueError(f"{lone} {config.backbone} cannot learn from one of this size: {drop}{way_out}") from None


@contextlib.contextmanager
def without_numbers() -> Iterator[None]:
    """Make every new tensor inside the block one that has a shape but no numbers."""
    draw = nn.init.trunc_normal_
    nn.init.trunc_normal_ = lambda tensor, *args, **kwargs: tensor
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        nn.init.trunc_normal_ = draw


def build(config: Config) -> None:
    """Raise the ``ValueError`` that the method of ``config`` raises when it is built around its network.

    The fault is one that no single option shows, such as a layer or a class token that the network lacks.
    """
    options = {name: value for name, value in config.mixer_options.items() if not isinstance(value, float)}
    key = (network_key(config), config.mixer, str(options))
    if key not in _built:
        with tried(config).device, Undrawn(), Unnormalised(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "for .*: copying from a non-meta parameter")  # a teacher's, from its file
            _method(config, tried(config).network)
        _built.add(key)


def rehearse(config: Config, images: int = 2) -> None:
    """Take a training step of ``config`` on a number of images without numbers, and raise the errors that it raises."""
    with without_numbers():
        with unset_fake_temporarily(), tried(config).device, Undrawn():
            network = build_network(config)
        pixels, labels = torch.rand(images, *dataset_of(config).image_shape), torch.zeros(images, dtype=torch.long)
        loss, _ = _method(config, network.to_empty(device="cpu"))(pixels, labels, Generator())
        loss.backward()


def _method(config: Config, network: Network) -> Mixing:
    """Return the method without the copies that follow its weights: tensors without numbers cannot be copied."""
    return METHODS.get(config.mixer, Mixing)(network, config).train()


def mix_noise(config: Config) -> Mixed:
    """Return some images of noise, mixed by ``config``; ``ValueError`` if the mixer refuses its options or is wrong."""
    mixer, rng, shapes = MIXERS[config.mixer], Generator(), tried(config).shapes
    channels, *sides = shapes[0]
    grids = {}
    if inputs_of(config.mixer):  # on large images these take seconds
        if "blocks" in config.mixer_options:  # PuzzleMix's; the smaller noise may have room for fewer
            blocks = fitting(config.mixer_options["blocks"], *sides)
            grids = {"blocks": [min(block, NOISE_SIDE) for block in blocks]}
        sides = [min(side, NOISE_SIDE) for side in sides]
    images = torch.rand(min(NOISE_IMAGES, config.part_size), channels, *sides, generator=rng)
    given, name = images.clone(), f"mixer {config.mixer!r}"
    with refused(f"{name} cannot mix images of {sides[0]}x{sides[1]} pixels"):
        mixed = mixer(images, rng, **{**mixer_arguments(config, images, shapes, rng), **grids})
    require_mixed(name, given, mixed)
    if not torch.equal(images, given):
        raise ValueError(f"{name} must leave the images that it is given as they are")
    return mixed


def require_mixed(name: str, images: Tensor, mixed: object) -> None:
    """Raise ``ValueError`` unless what a mixer makes of ``images`` is ``Mixed``, and its parts fit together."""
    if not isinstance(mixed, Mixed):
        raise ValueError(f"{name} must return a Mixed, got {type(mixed).__name__}")
    for part in ("images", "sources", "weights"):
        if not isinstance(found := getattr(mixed, part), Tensor):
            raise ValueError(f"the {part} of {name} must be a tensor, got {type(found).__name__}")
    wanted, got = (f"{list(each.shape)} in {each.dtype}" for each in (images, mixed.images))
    if mixed.depth == 0 and wanted != got:
        raise ValueError(f"{name} must return images of {wanted}, got {got}")
    _, sources, weights, _ = mixed
    rows = torch.arange(len(images))
    known = sources.dtype == torch.int64 and torch.isin(sources, rows).all()
    if not known or sources.ndim != 2 or not torch.equal(sources[:, 0], rows):
        valid = f"(B, K) int64 from 0 to {len(images) - 1}, first each image itself"
        raise ValueError(f"the sources of {name} must be {valid}, got {reprlib.repr(sources.tolist())}")
    if weights.shape != sources.shape or (weights < 0).any() or not (weights.sum(dim=1) - 1).abs().max() < 1e-5:
        shares = reprlib.repr(weights.tolist())
        raise ValueError(f"the weights of {name} must be (B, K) shares that sum to 1, got {shares}")


def mixer_arguments(config: Config, images: Tensor, shapes: Sequence[torch.Size], rng: Generator) -> dict[str, object]:
    """Return the options of the mixer, and noise, by the shapes of the maps, for all that it asks of the network."""
    noise = _noise(images, dataset_of(config).num_classes, shapes, rng)
    if config.mixer_options.get("extractor") is not None:
        noise["attention"] = torch.rand(len(images), *CELLS, generator=rng, device=images.device)
    options = {**config.mixer_options, **noise}
    parameters = parameters_of(MIXERS[config.mixer])
    for name, parameter in parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY and name not in options:
            require_known(f"keyword without a default of mixer {config.mixer!r},", name, noise)
    return {name: value for name, value in options.items() if name in parameters}


def _noise(images: Tensor, classes: int, shapes: Sequence[torch.Size], rng: Generator) -> dict[str, object]:
    """Return stand-ins, by the name of the parameter, for all that a mixer may ask of the network or of its method."""
    height, width = shapes[-1][-2:]

    def noise(*shape: int) -> Tensor:
        return torch.rand(shape, generator=rng, device=images.device)

    return {
        "saliency": noise(len(images), *images.shape[2:]),
        "attention": noise(len(images), height, width),
        "attend": lambda pixels: noise(len(pixels), height, width),
        "attend_merged": lambda pixels, share: noise(len(pixels), height, width),
        "teach": lambda pixels: pixels.mean(dim=(1, 2, 3))[:, None] * noise(classes),
        "codec": Codec(lambda pixels: pixels, lambda maps: maps),
        "encode": lambda pixels, depth: noise(len(pixels), *shapes[depth]) if depth else pixels,
        "num_stages": len(shapes) - 1,
        "generate": lambda sources, lam: noise(len(images), lam[0].numel(), *images.shape[2:]),
    }
