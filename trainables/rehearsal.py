"""Finds within a second, before anything starts, any fault of a configuration that no file could fix.

The mixer mixes some images of noise, with noise in place of the network's answers; the network and its method are
built on torch's device without numbers, ``meta``, once for all configurations that differ only in real numbers.

A whole training step draws numbers as well, for which that device has no generator. Its tensors have a shape and a
device but no numbers, for which torch has no public name: this is the one file that uses its private
``FakeTensorMode``, and that sets aside ``nn.init.trunc_normal_``, which reads a number back since torch 2.15. timm
reads some while it builds a model, so that its models are built outside, on ``meta``, and are then brought in.

Shape letters: B batch, C channels, H height, W width, L classes.
"""

import contextlib
import inspect
import warnings
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.overrides import TorchFunctionMode

from trainables.backbones import timm_layouts
from trainables.backbones.backbone import Network
from trainables.backbones.modes import batch_norms
from trainables.config import Config
from trainables.datasets.data_config import held_out_count
from trainables.datasets.opening import dataset_of
from trainables.methods import METHODS
from trainables.methods.inputs import inputs_of
from trainables.methods.mixing import SUMIX_PRESETS, Mixing
from trainables.methods.network import build_network
from trainables.mixers import MIXERS
from trainables.mixers.mixed import Mixed
from trainables.mixers.puzzlemix import fitting
from trainables.mixers.stylemix import Codec
from trainables.refusals import counted, first_line

LONE_IMAGE = "Expected more than 1 value per channel"  # torch's batch norm, of one image whose map is one pixel
NOISE_SIDE = 32  # pixels
NOISE_IMAGES = 3  # at most: of two alone, a mixer of a whole group of images would make pairs

Shapes = tuple[torch.Size, ...]

_networks: dict[Hashable, Network] = {}  # the results of ``_network``
_shapes: dict[Hashable, Shapes] = {}  # the results of ``map_shapes``
_built: set[Hashable] = set()  # the methods that could be built


class Undrawn(TorchFunctionMode):
    """Sets tensors to zero instead of drawing their numbers, which takes seconds for the weights of a large network."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``function``, or zero its tensor if it would draw, as ``nn.init.kaiming_normal_`` does."""
        kwargs = kwargs or {}
        if function.__name__.endswith(("normal_", "uniform_")):
            return nn.init.zeros_(args[0] if args else kwargs["tensor"])
        return function(*args, **kwargs)


class Unnormalised(TorchFunctionMode):
    """Leaves out batch norm, which changes no shape, and which torch computes in Python where there are no numbers."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call ``function``, or return its images if it is ``F.batch_norm``."""
        return args[0] if function is nn.functional.batch_norm else function(*args, **(kwargs or {}))


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
    if config.recalibrate and not batch_norms(_network(config)):
        raise ValueError(
            f"recalibrate must be False with backbone {config.backbone!r}, which has no batch norm, got True"
        )
    if config.num_train is not None and config.subset.rule == "none":  # only its file says how large a subset is
        check_batches(config, config.num_train - held_out_count(config.validation, config.num_train))


def check_batches(config: Config, images: int) -> None:
    """Raise ``ValueError`` if the network cannot be trained on the batches of so many training images."""
    size = config.batch_size
    if config.drop_last and images < size:
        raise ValueError(f"batch_size must be at most {images}, all training images, with drop_last, got {size}")
    if config.part_size > 1 and (config.drop_last or images % config.part_size != 1):
        return
    try:
        rehearse(config, images=1)
    except ValueError as error:
        if LONE_IMAGE not in str(error):
            raise
        lone = f"the last batch of {counted(images, 'training image')} has 1 image, and the batch norm of"
        drop = "set drop_last, or " if config.part_size > 1 and images > size else ""  # which would leave no image
        way_out = f"give another batch_size than {size}" if images > 1 else "give more training images"
        raise ValueError(f"{lone} {config.backbone} cannot learn from one of this size: {drop}{way_out}") from None


@contextlib.contextmanager
def without_numbers() -> Iterator[None]:
    """Make every new tensor inside the block one that has a shape but no numbers."""
    draw, create = nn.init.trunc_normal_, timm_layouts.create_model

    def bring_in(name: str, **options: Any) -> nn.Module:
        with unset_fake_temporarily(), torch.device("meta"):
            model = create(name, **options)
        return model.to_empty(device="cpu")

    nn.init.trunc_normal_ = lambda tensor, *args, **kwargs: tensor
    timm_layouts.create_model = bring_in
    try:
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    finally:
        nn.init.trunc_normal_, timm_layouts.create_model = draw, create


def build(config: Config) -> None:
    """Raise the ``ValueError`` that the method of ``config`` raises when it is built around its network.

    The fault is one that no single option shows, such as a layer or a class token that the network lacks.
    """
    options = {name: value for name, value in config.mixer_options.items() if not isinstance(value, float)}
    key = (_network_key(config), config.mixer, str(options))
    if key not in _built:
        with torch.device("meta"), Undrawn(), Unnormalised(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "for .*: copying from a non-meta parameter")  # a teacher's, of its file
            _method(config, _network(config))
        _built.add(key)


def rehearse(config: Config, images: int = 2) -> None:
    """Take a training step of ``config`` on so many images without numbers, and raise the errors that it raises."""
    with without_numbers():
        pixels, labels = torch.rand(images, *dataset_of(config).image_shape), torch.zeros(images, dtype=torch.long)
        loss, _ = _method(config, build_network(config))(pixels, labels, Generator())
        loss.backward()


def _method(config: Config, network: Network) -> Mixing:
    """Return the method without the copies that follow its weights: tensors without numbers cannot be copied."""
    return METHODS.get(config.mixer, Mixing)(network, config).train()


def map_shapes(config: Config) -> Shapes:
    """Return the shape of an image (C, H, W), and of its map after each stage of the network.

    ``ValueError`` refuses a network that cannot be built for images of this size, or cannot be run on them.
    """
    key, image_shape = _network_key(config), dataset_of(config).image_shape
    if key in _shapes:
        return _shapes[key]
    with torch.device("meta"), torch.no_grad(), Unnormalised():
        backbone = _network(config).backbone.eval()
        maps = torch.rand(2, *image_shape)
        shapes = [maps.shape[1:]]
        with _seeing(config, image_shape[1]):
            for number, stage in enumerate(backbone.stages):
                maps = stage(maps)
                if getattr(maps, "ndim", 0) != 4:
                    found = list(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
                    raise ValueError(f"stage {number} of {config.backbone!r} must return (B, C, H, W), got {found}")
                shapes.append(backbone.grid(maps).shape[1:])
            backbone.head(backbone.pool(maps))
    return _shapes.setdefault(key, tuple(shapes))


def check_test_size(config: Config) -> None:
    """Raise ``ValueError`` if the network cannot be tested on images of ``test_size``, which it is not built for."""
    channels, side, _ = dataset_of(config).image_shape
    if (size := config.test_size or side) != side:
        with torch.device("meta"), torch.no_grad(), Unnormalised(), _seeing(config, size):
            _network(config).backbone.eval()(torch.rand(2, channels, size, size))


@contextlib.contextmanager
def _seeing(config: Config, side: int) -> Iterator[None]:
    """Raise ``ValueError`` with the reason for which the backbone cannot be run on images of this side."""
    try:
        yield
    except (AssertionError, RuntimeError) as error:
        why = first_line(error)
        raise ValueError(f"backbone {config.backbone!r} cannot see images of {side}x{side} pixels ({why})") from None


def mix_noise(config: Config) -> Mixed:
    """Return some images of noise, mixed by ``config``; the mixer raises ``ValueError`` for options that it refuses."""
    mixer, rng, shapes = MIXERS[config.mixer], Generator(), map_shapes(config)
    channels, *sides = shapes[0]
    grids = {}
    if inputs_of(config.mixer):  # on large images these take seconds
        if "blocks" in config.mixer_options:  # of PuzzleMix, of which the noise may have fewer than the image
            blocks = fitting(config.mixer_options["blocks"], *sides)
            grids = {"blocks": [min(block, NOISE_SIDE) for block in blocks]}
        sides = [min(side, NOISE_SIDE) for side in sides]
    images = torch.rand(min(NOISE_IMAGES, config.part_size), channels, *sides, generator=rng)
    return mixer(images, rng, **{**mixer_arguments(config, images, shapes, rng), **grids})


def mixer_arguments(config: Config, images: Tensor, shapes: Shapes, rng: Generator) -> dict[str, object]:
    """Return the options of the mixer, and noise, by the shapes of the maps, for all that it asks of the network."""
    options = {**config.mixer_options, **_noise(images, dataset_of(config).num_classes, shapes, rng)}
    parameters = inspect.signature(MIXERS[config.mixer]).parameters
    return {name: value for name, value in options.items() if name in parameters}


def _noise(images: Tensor, classes: int, shapes: Shapes, rng: Generator) -> Mapping[str, object]:
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
        "encode": lambda pixels, depth: noise(len(pixels), *shapes[depth]),
        "num_stages": len(shapes) - 1,
        "generate": lambda sources, lam: noise(len(images), lam[0].numel(), *images.shape[2:]),
    }


def _network(config: Config) -> Network:
    """Return the network without numbers, one for all configurations whose networks have the same shapes."""
    key = _network_key(config)
    if key not in _networks:
        with torch.device("meta"), Undrawn():
            _networks[key] = build_network(config)
    return _networks[key]


def _network_key(config: Config) -> Hashable:
    """Return the settings that decide the shapes in a network."""
    dataset = dataset_of(config)
    return config.backbone, config.drop_path > 0, dataset.image_shape, dataset.num_classes
