"""Any model of timm by its name: ``backbone: timm/resnet50``, or with a tag for its weights, ``timm/resnet50.a1_in1k``.

Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models. A model whose
blocks hand on one tensor can be run stage by stage, so that a mixer may mix between its stages; any other model is one
stage. A transformer whose last block forms the attention of a class token also gives it. Weights start as timm draws
them, and ``init`` concerns the head alone.

timm takes seconds to import, so it is imported when a model of it is named.

Shape letters: B batch, C channels, H height, W width, D features, T tokens, h and w of the patches' grid.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from trainables.backbones import PREFIX, timm_layouts
from trainables.backbones.backbone import Backbone
from trainables.backbones.timm_layouts import (
    Layout,
    as_model_has_it,
    attention_seen,
    channels_first,
    last_attention,
    layout_of,
)
from trainables.refusals import counted, first_line

# The class names of models whose stages are modules of their own in a ``model.pt``. The stages of all other models
# stay in timm's model, so that weights keep the names that they had while such a model was one stage.
MOVED = (
    *("ByobNet", "ConvNeXt", "EfficientNet", "Levit", "LevitDistilled", "MetaFormer", "MlpMixer", "MobileNetV3"),
    *("RegNet", "ResNet", "SwinTransformer", "SwinTransformerV2", "VisionTransformer"),
)


class Kept(nn.Module):
    """Runs modules of timm's model one after another; they stay in that model, which skips them from now on."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.kept = tuple(modules)  # a tuple: a ``ModuleList`` would give its modules second names
        for module in modules:
            module.forward = unchanged

    def forward(self, x: Tensor) -> Tensor:
        """Pass a tensor through each module, by the ``forward`` of its class."""
        for module in self.kept:
            x = type(module).forward(module, x)
        return x


def unchanged(x: Tensor) -> Tensor:
    """Return ``x``, in place of a module's ``forward``."""
    return x


class Stage(nn.Module):
    """A part of a model between maps of (B, C, H, W), whatever the order of axes inside it."""

    def __init__(self, part: nn.Module, axes: str) -> None:
        super().__init__()
        self.part = part
        self.axes = axes

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to a map in the same order of axes."""
        return channels_first(self.part(as_model_has_it(maps, self.axes)), self.axes)


class Stem(nn.Module):
    """The model without the stages that were taken out of it: it makes the first map."""

    def __init__(self, model: Any, axes: str) -> None:
        super().__init__()
        self.model = model
        self.axes = axes

    def forward(self, images: Tensor) -> Tensor:
        """Return the first map (B, C, H, W) of normalised images.

        Where the features are no map, each position has the image's features (B, D), then the channels of the model's
        last map.
        """
        if self.axes != "pooled":
            return channels_first(self.model.forward_features(images), self.axes)
        features, (maps,) = self.model.forward_intermediates(images, indices=1, norm=True)
        pooled = self.model.forward_head(features, pre_logits=True)
        return torch.cat((pooled[:, :, None, None].expand(-1, -1, *maps.shape[2:]), maps), dim=1)


class TimmBackbone(Backbone):
    """A model of timm. The map of a transformer is (B, D, 1, T), one row of tokens; ``grid`` returns the patches."""

    drawn_as = "already"

    def __init__(self, model: Any, num_classes: int, layout: Layout) -> None:
        stages = [Stage(part, layout.axes) for part in taken_out(model, layout.stages)]
        super().__init__([Stem(model, layout.axes), *stages], layout.width, num_classes)
        self.layout = layout

    @property
    def model(self) -> Any:
        """Return timm's model, which stage 0 holds, without the other stages."""
        return cast(Stem, self.stages[0]).model

    def grid(self, maps: Tensor) -> Tensor:
        """Return a map as features of each position of the image, (B, C, H, W)."""
        if self.layout.axes == "pooled":
            return maps[:, self.layout.width :]
        return self.of_patches(maps[:, :, 0]) if self.layout.axes == "NLC" else maps

    def of_patches(self, values: Tensor) -> Tensor:
        """Return the values of the patches, (B, ..., h, w), from those of all tokens, (B, ..., T)."""
        patches = values[..., self.layout.prefix :]
        count = patches.shape[-1]
        sides = getattr(getattr(self.model, "patch_embed", None), "grid_size", None)
        if sides is None or math.prod(sides) != count:  # the patches are merged, or the model takes any size
            sides = (math.isqrt(count),) * 2
        if math.prod(sides) != count:
            name = type(self.model).__name__
            raise ValueError(f"the {count} tokens of timm's {name} are not a square, and it does not name their grid")
        return patches.unflatten(-1, sides)

    def pool(self, maps: Tensor) -> Tensor:
        """Return features (B, D) of the last stage's map."""
        if self.layout.axes == "pooled":
            return maps[:, : self.layout.width, 0, 0]
        return self.model.forward_head(as_model_has_it(maps, self.layout.axes), pre_logits=True)


class TimmTransformer(TimmBackbone):
    """A transformer with a class token."""

    def class_attention(self, images: Tensor) -> Tensor:
        """Return the attention of the class token to each patch in the last block, (B, h, w), the mean of the heads."""
        with attention_seen(last_attention(self)) as seen:
            self.encode(images)
        return self.of_patches(seen[-1].mean(dim=1)[:, 0])  # the first row of (B, heads, T, T)


def taken_out(model: Any, stages: Iterable[Sequence[str]]) -> list[nn.Module]:
    """Return the stages of ``model``, which skips them from now on."""
    modules = [[model.get_submodule(name) for name in stage] for stage in stages]
    if not modules or type(model).__name__ not in MOVED:
        return [Kept(stage) for stage in modules]
    for name in itertools.chain(*stages):
        model.set_submodule(name, nn.Identity())
    *first, last = modules
    return [*(stage for (stage,) in first), nn.Sequential(*last)]


def timm_backbone(
    name: str,
    *,
    num_classes: int,
    in_channels: int = 3,
    image_size: int = 224,
    drop_path: float = 0.0,
    weights: Mapping[str, Tensor] | None = None,
) -> Backbone:
    """Build the model ``name``, as timm has it, without timm's classifier; raise ``ValueError`` if it cannot be built.

    ``image_size`` is the side of the images in pixels, for models that are built for one size, ``drop_path`` the
    probability to drop the last block, and ``weights`` timm's state_dict, which timm adapts to the channels.
    """
    from timm.models import get_pretrained_cfg

    layout = layout_of(name)
    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    known = get_pretrained_cfg(name.partition(".")[0], allow_unregistered=True)
    if known is not None and known.fixed_input_size:
        options["img_size"] = image_size
    if weights is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": dict(weights)}}
    try:
        model = timm_layouts.create_model(name, num_classes=0, in_chans=in_channels, **options)
    except (AssertionError, TypeError, RuntimeError) as error:
        if "drop_path_rate" in str(error):
            raise ValueError(
                f"drop_path must be 0 with backbone '{PREFIX}{name}', which has no drop-path, got {drop_path:g}"
            ) from None
        raise ValueError(
            f"backbone '{PREFIX}{name}' cannot be built for images of {image_size} pixels, "
            f"{counted(in_channels, 'channel')} and drop_path {drop_path:g} ({first_line(error)})"
        ) from None
    return (TimmTransformer if layout.attends else TimmBackbone)(model, num_classes, layout)
