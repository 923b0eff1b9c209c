"""Any model of timm by its name: ``backbone: timm/resnet50``, or with a tag for its weights, ``timm/resnet50.a1_in1k``.

Wightman, "PyTorch Image Models", https://github.com/huggingface/pytorch-image-models. The families of ``FAMILIES`` can
be run stage by stage, so that a mixer may mix between their stages; any other model is one stage. A vision transformer
with a class token also gives its attention. Weights start as timm draws them, and ``init`` concerns the head alone.

timm takes seconds to import, so it is imported when a model of it is named.

Shape letters: B batch, C channels, H height, W width, D features, T tokens, h and w of the patches' grid.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from trainables.backbones import PREFIX
from trainables.backbones.backbone import Backbone
from trainables.refusals import first_line


class Family(NamedTuple):
    """The place of a model's stages: attributes one after another, or one attribute that holds them all."""

    stages: tuple[str, ...]
    end: tuple[str, ...] = ()  # attributes that follow the last stage, and are part of it


# The keys are names of models' classes. A subclass may work otherwise, and is not meant.
FAMILIES = {
    "ByobNet": Family(("stages",), ("final_conv",)),
    "ConvNeXt": Family(("stages",), ("norm_pre",)),
    "EfficientNet": Family(("blocks",), ("conv_head", "bn2")),
    "MetaFormer": Family(("stages",)),
    "MobileNetV3": Family(("blocks",)),
    "RegNet": Family(("s1", "s2", "s3", "s4"), ("final_conv",)),
    "ResNet": Family(("layer1", "layer2", "layer3", "layer4")),
    "SwinTransformer": Family(("layers",), ("norm",)),
    "SwinTransformerV2": Family(("layers",), ("norm",)),
    "VisionTransformer": Family(("blocks",), ("norm",)),
}


class Stage(nn.Module):
    """A part of a model between maps of (B, C, H, W), whatever the order of axes inside it."""

    def __init__(self, part: nn.Module, layout: str) -> None:
        super().__init__()
        self.part = part
        self.layout = layout

    def forward(self, maps: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same order of axes."""
        return channels_first(self.part(as_model_has_it(maps, self.layout)), self.layout)


class Stem(nn.Module):
    """The model without the stages that were taken out of it: it makes the first map."""

    def __init__(self, model: Any, layout: str) -> None:
        super().__init__()
        self.model = model
        self.layout = layout

    def forward(self, images: Tensor) -> Tensor:
        """Return the first map (B, C, H, W) of normalised images."""
        return channels_first(self.model.forward_features(images), self.layout)


class TimmBackbone(Backbone):
    """A model of timm. The map of a transformer is (B, D, 1, T), one row of tokens; ``grid`` returns the patches."""

    drawn_as = "already"

    def __init__(self, model: Any, num_classes: int) -> None:
        layout = "NLC" if hasattr(model, "num_prefix_tokens") else getattr(model, "output_fmt", "NCHW")
        stages = [Stage(part, layout) for part in taken_out(model)]
        super().__init__([Stem(model, layout), *stages], model.head_hidden_size, num_classes)
        self.prefix = model.num_prefix_tokens if layout == "NLC" else None

    @property
    def stem(self) -> Stem:
        """Return stage 0, which holds the rest of timm's model."""
        return cast(Stem, self.stages[0])

    def grid(self, maps: Tensor) -> Tensor:
        """Return a map as features of each position of the image, (B, C, H, W)."""
        if self.prefix is None:
            return maps
        return maps[:, :, 0, self.prefix :].unflatten(2, self.sides)

    @property
    def sides(self) -> tuple[int, int]:
        """Return the number of a transformer's patches along each side of an image."""
        grid = getattr(getattr(self.stem.model, "patch_embed", None), "grid_size", None)
        if grid is None:
            raise ValueError(f"timm's {type(self.stem.model).__name__} does not say where its tokens are in an image")
        return grid

    def pool(self, maps: Tensor) -> Tensor:
        """Return features (B, D) of the last stage's map."""
        return self.stem.model.forward_head(as_model_has_it(maps, self.stem.layout), pre_logits=True)


class TimmTransformer(TimmBackbone):
    """A vision transformer with a class token."""

    def class_attention(self, images: Tensor) -> Tensor:
        """Return the attention of the class token to each patch in the last block, (B, h, w), the mean of the heads."""
        before = as_model_has_it(self.encode(images, 0, -1), "NLC")
        block = cast(nn.Sequential, cast(Stage, self.stages[-1]).part)[0]
        attention: Any = block.attn
        seen: list[Tensor] = []
        hook = attention.attn_drop.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        fused, attention.fused_attn = attention.fused_attn, False  # the fused kernel does not form the matrix
        try:
            block(before)
        finally:
            attention.fused_attn = fused
            hook.remove()
        paid = seen[0].mean(dim=1)[:, 0, self.prefix :]  # (B, T of the patches), of (B, heads, T, T)
        return paid.unflatten(1, self.sides)


def channels_first(x: Tensor, layout: str) -> Tensor:
    """Return a map of timm's as (B, C, H, W), or (B, D, 1, T) of tokens."""
    if not isinstance(x, Tensor) or x.ndim != (3 if layout == "NLC" else 4):
        found = f"of the shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise ValueError(f"a model of timm whose features are {found} is not supported")
    if layout == "NLC":
        return x.mT[:, :, None]
    return x.permute(0, 3, 1, 2) if layout == "NHWC" else x


def as_model_has_it(maps: Tensor, layout: str) -> Tensor:
    """Return the map in timm's own layout: the inverse of ``channels_first``."""
    if layout == "NLC":
        return maps[:, :, 0].mT
    return maps.permute(0, 2, 3, 1) if layout == "NHWC" else maps


def taken_out(model: Any) -> list[nn.Module]:
    """Take the stages out of ``model``, which does nothing in their place from now on, and return them."""
    family = FAMILIES.get(type(model).__name__)
    if family is None:
        return []
    if len(family.stages) == 1:
        (holder,) = family.stages
        stages = list(getattr(model, holder))
        setattr(model, holder, nn.Sequential())
    else:
        stages = [_replaced(model, name) for name in family.stages]
    end = [_replaced(model, name) for name in family.end]
    return [*stages[:-1], nn.Sequential(stages[-1], *end)]


def _replaced(model: Any, name: str) -> nn.Module:
    part = getattr(model, name)
    setattr(model, name, nn.Identity())
    return part


def create_model(name: str, **options: Any) -> Any:
    """Return timm's model; the rehearsal replaces this function by one that draws no numbers."""
    import timm

    return timm.create_model(name, **options)


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

    options: dict[str, Any] = {"drop_path_rate": drop_path} if drop_path else {}
    known = get_pretrained_cfg(name.partition(".")[0], allow_unregistered=True)
    if known is not None and known.fixed_input_size:
        options["img_size"] = image_size
    if weights is not None:
        options |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": dict(weights)}}
    try:
        model = create_model(name, num_classes=0, in_chans=in_channels, **options)
    except (AssertionError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"backbone '{PREFIX}{name}' cannot be built for images of {image_size} pixels, {in_channels} channels and "
            f"drop_path {drop_path:g} ({first_line(error)})"
        ) from None
    with_token = type(model).__name__ == "VisionTransformer" and getattr(model, "has_class_token", False)
    return (TimmTransformer if with_token else TimmBackbone)(model, num_classes)
