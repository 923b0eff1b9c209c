"""The layout of a timm model's features: timm states it for some models only, so a pass without numbers finds it.

Shape letters: B batch, C channels, H height, W width, D features, T tokens.
"""

import contextlib
import functools
import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from trainables.backbones import PREFIX

# The names of the modules that begin a stage, in the models of timm that have them.
STAGE = re.compile(
    r"((dense_)?stages|blocks|layers)\.\d+|(body\.)?layer[1-9]|level[2-9]|s\d|features\.denseblock\d|[Mm]ixed_\d[a-e]"
)


class Layout(NamedTuple):
    """The layout of a model's features, and the modules that make them, in order."""

    axes: str  # "NCHW" or "NHWC" of a map, "NLC" of tokens, "pooled" where they are neither
    width: int  # D, the features of an image
    prefix: int  # tokens before those of the patches
    attends: bool  # whether a class token looks at every patch in the last attention
    stages: tuple[tuple[str, ...], ...] = ()  # the names of the modules of each stage after the stem, if it has some


def create_model(name: str, **options: Any) -> Any:
    """Return timm's model, for which timm is imported now."""
    import timm

    return timm.create_model(name, **options)


@functools.cache
def layout_of(name: str) -> Layout:
    """Return the layout of the features of the model ``name``; raise ``ValueError`` if it is no classifier."""
    with torch.device("meta"), torch.no_grad(), torch.random.fork_rng(devices=[]):
        model = create_model(name, num_classes=0).eval()
        images = torch.zeros(1, *model.pretrained_cfg["input_size"], device=next(model.parameters()).device)
        with attention_seen(last_attention(model)) as seen:
            features, stages = features_and_stages(model, images)
        try:
            width = model.forward_head(features, pre_logits=True).shape[1]
        except (NotImplementedError, TypeError):
            raise ValueError(
                f"backbone '{PREFIX}{name}' must be a classifier, which timm's {type(model).__name__} is not"
            ) from None
    if isinstance(features, Tensor) and features.ndim == 4:
        return Layout(getattr(model, "output_fmt", "NCHW"), width, prefix=0, attends=False, stages=stages)
    looks = seen[-1].shape[-1] if seen and any("cls_token" in key for key, _ in model.named_parameters()) else 0
    tokens = features.shape[1] if isinstance(features, Tensor) else 1
    axes, tokens = ("NLC", tokens) if tokens > 1 else ("pooled", looks)
    prefix = getattr(model, "num_prefix_tokens", tokens - math.isqrt(tokens) ** 2)
    return Layout(axes, width, prefix, looks == tokens and prefix > 0, stages if axes == "NLC" else ())


def features_and_stages(model: Any, images: Tensor) -> tuple[Any, tuple[tuple[str, ...], ...]]:
    """Return the features of images, and the names of each stage's modules; a module of ``STAGE`` begins a stage.

    There is no stage unless one tensor passes all of these modules, keeps its number of axes, and becomes the features.
    """
    stages: list[list[str]] = []
    given: list[tuple[Any, ...]] = []  # the inputs of each module
    returned: list[Any] = []

    def see(name: str, module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
        if STAGE.fullmatch(name):
            stages.append([])
        if stages:
            stages[-1].append(name)
            given.append((*inputs, *options.values()))
            returned.append(output)

    named = dict(model.named_modules())
    holders = {name.rpartition(".")[0] for name in named if STAGE.fullmatch(name)} | {""}
    for name, module in named.items():
        if name.rpartition(".")[0] in holders and name not in holders:
            module.register_forward_hook(functools.partial(see, name), with_kwargs=True)
    features = model.forward_features(images)
    one_path = isinstance(features, Tensor) and all(
        len(taken) == 1 and taken[0] is output and isinstance(output, Tensor) and output.ndim == features.ndim
        for output, taken in zip(returned, [*given[1:], (features,)], strict=False)
    )
    in_order = not hasattr(model, "unroll")  # Hiera brings its tokens into the image's order only at the end
    return features, tuple(map(tuple, stages)) if one_path and in_order else ()


def last_attention(model: nn.Module) -> Any:
    """Return the last layer that gives its shares of attention to a module ``attn_drop``, or None."""
    found = [module for module in model.modules() if isinstance(getattr(module, "attn_drop", None), nn.Module)]
    return found[-1] if found else None


@contextlib.contextmanager
def attention_seen(attention: Any) -> Iterator[list[Tensor]]:
    """Yield a list to which each pass inside the block adds the shares of ``attention``, (B, heads, T, T)."""
    seen: list[Tensor] = []
    if attention is None:
        yield seen
        return
    hook = attention.attn_drop.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    fused = getattr(attention, "fused_attn", False)
    attention.fused_attn = False  # the fused kernel does not form the matrix
    try:
        yield seen
    finally:
        attention.fused_attn = fused
        hook.remove()


def channels_first(x: Tensor, axes: str) -> Tensor:
    """Return a map of timm's as (B, C, H, W), and tokens as (B, D, 1, T)."""
    if axes == "NLC":
        return x.mT[:, :, None]
    return x.permute(0, 3, 1, 2) if axes == "NHWC" else x


def as_model_has_it(maps: Tensor, axes: str) -> Tensor:
    """Return the map in timm's own order of axes: the inverse of ``channels_first``."""
    if axes == "NLC":
        return maps[:, :, 0].mT
    return maps.permute(0, 2, 3, 1) if axes == "NHWC" else maps
