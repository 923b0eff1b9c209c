"""Pretrained weights for fine-tuning: torchvision's, of ImageNet-1k, and those that timm publishes.

torchvision's file is looked for under its own name in ``<data root>/torchvision``, or else downloaded there from
torchvision's address. The name ends in the first digits of the file's SHA-256, which are checked. timm's file is
``<data root>/timm/NAME/model.safetensors``, or else fetched from Hugging Face.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import models
from torchvision.models import WeightsEnum

from trainables.backbones import PREFIX
from trainables.backbones.backbone import layer_defaults
from trainables.datasets.dataset import DataError
from trainables.datasets.download import fetch_file
from trainables.datasets.verified_files import sha256_of
from trainables.ranges import Pretrained
from trainables.refusals import first_line

Weights = Mapping[str, Tensor]  # a state_dict of torchvision's or timm's network of the same architecture
N = TypeVar("N", bound=nn.Module)
TIMM = "timm"  # the value of ``pretrained`` for the weights of a model's tag, and their folder in the data root
TIMM_FILE = "model.safetensors"

PRETRAINED: dict[str, type[WeightsEnum]] = {
    "resnet18_imagenet": models.ResNet18_Weights,
    "resnet34_imagenet": models.ResNet34_Weights,
    "resnet50_imagenet": models.ResNet50_Weights,
    "resnet101_imagenet": models.ResNet101_Weights,
    "resnet152_imagenet": models.ResNet152_Weights,
    "resnext50_imagenet": models.ResNeXt50_32X4D_Weights,
    "mobilenet_v2": models.MobileNet_V2_Weights,
    "efficientnet_b0": models.EfficientNet_B0_Weights,
    "convnext_tiny": models.ConvNeXt_Tiny_Weights,
    "swin_tiny": models.Swin_T_Weights,
}


def torchvision_network(network: N, weights: Weights | None) -> N:
    """Return torchvision's ``network`` with PyTorch's initial values, or with ``weights`` except in its classifier."""
    if weights is None:
        return layer_defaults(network)
    own = network.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and value.shape == own[name].shape}
    network.load_state_dict(fitting, strict=False)
    # The classifier, which every constructor here leaves out, may have the wrong number of classes; nothing else may.
    classifier = [name for name, module in network.named_modules() if isinstance(module, nn.Linear)][-1]
    lacking = sorted(set(own) - set(fitting) - {f"{classifier}.weight", f"{classifier}.bias"})
    if lacking:
        raise DataError(f"the pretrained weights do not fit the network: {lacking[0]} is missing or of another shape")
    return network


def require_pretrained(backbone: str, pretrained: str) -> None:
    """Raise ``ValueError``, which names the weights that exist, unless ``backbone`` has such weights."""
    if backbone.startswith(PREFIX) and pretrained == TIMM:
        return _require_tag(backbone)
    known = [weights.name for weights in PRETRAINED[backbone]] if backbone in PRETRAINED else []
    if pretrained not in known:
        there = f"it has {', '.join(known)}" if known else f"it has some for {', '.join(PRETRAINED)}"
        raise ValueError(f"torchvision has no weights {pretrained!r} for backbone {backbone!r}; {there}")


def _require_tag(backbone: str) -> None:
    import timm  # seconds

    name = backbone.removeprefix(PREFIX)
    if not timm.is_model_pretrained(name):
        tags = [f"{PREFIX}{tagged}" for tagged in timm.list_pretrained(name.partition(".")[0])]
        there = f"it has {', '.join(tags)}" if tags else "it has none for this model"
        raise ValueError(f"timm has no weights for backbone {backbone!r}; {there}")


def prepare_pretrained(backbone: str, pretrained: Pretrained, data_root: Path) -> Path:
    """Return the file, downloaded if it is missing; raise ``DataError`` if that fails.

    torchvision's file is verified, and also refused if it is broken.
    """
    require_pretrained(backbone, pretrained)
    path = _file_of(backbone, pretrained, data_root)
    if pretrained == TIMM:
        if not os.path.exists(path):
            _fetch_from_hub(backbone, path)
        return path
    url, digest = PRETRAINED[backbone][pretrained].url, path.stem.rpartition("-")[2]
    if not os.path.exists(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{path}.lock"):  # one process of the machine fetches, while the others wait
                fetch_file(url, path, lambda part: sha256_of(part).startswith(digest))
        except (DataError, OSError) as error:
            raise DataError(
                f"the weights {pretrained} of {backbone} are not at {path} and cannot be downloaded from {url}: {error}"
            ) from None
    if not (found := sha256_of(path)).startswith(digest):
        raise DataError(
            f"{path} is broken: its SHA-256 begins with {found[:8]} instead of {digest}; delete it, and it is fetched "
            "again"
        )
    return path


def _fetch_from_hub(backbone: str, path: Path) -> None:
    from huggingface_hub import hf_hub_download

    try:
        hf_hub_download(_timm_tag(backbone).hf_hub_id, TIMM_FILE, local_dir=path.parent)
    except Exception as error:
        where = f"{path} and cannot be fetched from Hugging Face"
        raise DataError(f"the weights of {backbone} are not at {where}: {first_line(error)}") from None


def lacking_weights(backbone: str, pretrained: Pretrained, data_root: Path) -> list[str]:
    """Return a sentence if the file of the wanted weights is missing."""
    if pretrained == "none":
        return []
    path = _file_of(backbone, pretrained, data_root)
    return [] if os.path.isfile(path) else [f"{path} is missing and will be fetched"]


def load_pretrained(backbone: str, pretrained: Pretrained, data_root: Path) -> Weights | None:
    """Return the state_dict, or None where no weights are wanted; raise as ``prepare_pretrained`` does."""
    if pretrained == "none":
        return None
    path = prepare_pretrained(backbone, pretrained, data_root)
    if pretrained != TIMM:
        return torch.load(path, map_location="cpu", weights_only=True)
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{path} cannot be read ({error}); delete it, and it is fetched again") from None


def _file_of(backbone: str, pretrained: Pretrained, data_root: Path) -> Path:
    if pretrained != TIMM:
        return data_root / "torchvision" / PRETRAINED[backbone][pretrained].url.rpartition("/")[2]
    known = _timm_tag(backbone)
    name = f"{known.architecture}.{known.tag}" if known.tag else str(known.architecture)
    return data_root / TIMM / name / TIMM_FILE


def _timm_tag(backbone: str) -> Any:
    """Return what timm knows of a model's weights."""
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(backbone.removeprefix(PREFIX))
    assert known is not None, backbone
    return known


def load_classifier(backbone: str, pretrained: Pretrained, data_root: Path) -> dict[str, Tensor]:
    """Return the weights of torchvision's last linear layer, ``weight`` (1000, D) and ``bias`` (1000,)."""
    weights = load_pretrained(backbone, pretrained, data_root)
    assert weights is not None
    return dict(zip(("weight", "bias"), list(weights.values())[-2:], strict=True))  # a state_dict is in order
