"""Models of timm: the same numbers as timm's own, cut into stages where that is known, with attention and weights."""

import copy
import functools
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from trainables.backbones.backbone import Backbone, initialise
from trainables.backbones.names import constructor_of
from trainables.backbones.pretrained import TIMM_FILE, load_pretrained
from trainables.backbones.timm_models import FAMILIES, TimmBackbone
from trainables.classify import train
from trainables.datasets.dataset import DataError
from trainables.datasets.opening import dataset_of
from trainables.methods import build_method

# name: (side of the images, stages with the stem, family); one of each family, and others, which are one stage
MODELS = {
    "test_byobnet": (64, 5, "ByobNet"),
    "test_convnext": (64, 5, "ConvNeXt"),
    "test_efficientnet": (64, 6, "EfficientNet"),
    "test_resnet": (64, 5, "ResNet"),
    "test_vit": (64, 7, "VisionTransformer"),
    "test_vit2": (64, 9, "VisionTransformer"),  # no class token
    "mobilenetv3_small_050": (64, 7, "MobileNetV3"),
    "regnetx_002": (64, 5, "RegNet"),
    "eva02_tiny_patch14_224": (56, 1, "Eva"),
}
SLOW = {
    "poolformerv2_s12": (64, 5, "MetaFormer"),
    "densenet121": (64, 1, "DenseNet"),
    "maxvit_rmlp_pico_rw_256": (64, 1, "MaxxVit"),
    "swin_tiny_patch4_window7_224": (64, 5, "SwinTransformer"),
    "swinv2_tiny_window8_256": (64, 5, "SwinTransformerV2"),
}
every_model = pytest.mark.parametrize(
    ("name", "side", "stages", "family"),
    [
        *((name, *rest) for name, rest in MODELS.items()),
        *(pytest.param(name, *rest, marks=pytest.mark.slow) for name, rest in SLOW.items()),
    ],
)


def build(name: str, side: int, **options) -> Backbone:
    return constructor_of(f"timm/{name}")(num_classes=7, image_size=side, **options).eval()


@functools.cache
def both(name: str, side: int) -> tuple[Backbone, Any]:
    """Return our backbone and timm's model, drawn from the same seed."""
    torch.manual_seed(0)
    ours = build(name, side)
    torch.manual_seed(0)
    resized = {"img_size": side} if timm.get_pretrained_cfg(name, allow_unregistered=True).fixed_input_size else {}
    return ours, timm.create_model(name, num_classes=0, **resized).eval()


def images(side: int) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def test_every_family_is_tested():
    families = {family for _, stages, family in (MODELS | SLOW).values() if stages > 1}
    assert families == set(FAMILIES)


@every_model
@torch.no_grad()
def test_the_features_are_timm_s_bit_for_bit_and_the_stages_make_the_whole(name, side, stages, family):
    ours, theirs = both(name, side)
    assert type(theirs).__name__ == family
    expected = theirs.forward_head(theirs.forward_features(images(side)), pre_logits=True)
    assert expected.std() > 1e-3
    assert torch.equal(ours.forward_features(images(side)), expected)
    count = sum(p.numel() for p in theirs.parameters())
    assert sum(p.numel() for p in ours.stages.parameters()) == count
    assert ours.head.in_features == expected.shape[1]
    assert len(ours.stages) == stages
    whole = ours.encode(images(side))
    maps = images(side)
    for stage in range(stages):
        maps = ours.encode(maps, stage, stage + 1)
    assert torch.equal(maps, whole)
    assert torch.equal(ours.encode(ours.encode(images(side), 0, 1), 1), whole)
    assert torch.equal(copy.deepcopy(ours).encode(images(side)), whole)  # as averages of weights copy it
    grid = ours.grid(whole)
    assert grid.shape[:2] == whole.shape[:2]
    assert min(grid.shape[2:]) > 1


@torch.no_grad()
def test_the_attention_is_that_of_the_last_block():
    ours, theirs = both("test_vit", 64)
    found = ours.class_attention(images(64))
    tokens = theirs.norm_pre(theirs.patch_drop(theirs._pos_embed(theirs.patch_embed(images(64)))))
    block = theirs.blocks[-1]
    tokens = block.norm1(theirs.blocks[:-1](tokens))  # (2, T, D)
    heads = block.attn.num_heads
    query, key, _ = block.attn.qkv(tokens).unflatten(2, (3, heads, -1)).unbind(2)  # (2, T, heads, D / heads)
    scores = torch.einsum("bhd,bthd->bht", query[:, 0], key) * query.shape[-1] ** -0.5
    expected = scores.softmax(dim=-1).mean(dim=1)[:, 1:].unflatten(1, (4, 4))
    torch.testing.assert_close(found, expected)
    assert not hasattr(both("test_vit2", 64)[0], "class_attention")


def test_init_draws_the_head_alone():
    torch.manual_seed(0)
    ours = build("test_resnet", 64)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    initialise(ours, "om_table")
    changed = {name for name, value in ours.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_weights_are_read_from_the_data_root(tmp_path):
    torch.manual_seed(5)
    theirs = timm.create_model("test_resnet", num_classes=1000).eval()
    file = tmp_path / "timm" / "test_resnet.r160_in1k" / TIMM_FILE
    file.parent.mkdir(parents=True)
    save_file(theirs.state_dict(), file)
    weights = load_pretrained("timm/test_resnet.r160_in1k", "timm", tmp_path)
    ours = build("test_resnet.r160_in1k", 64, weights=weights)
    with torch.no_grad():
        expected = theirs.forward_head(theirs.forward_features(images(64)), pre_logits=True)
        assert torch.equal(ours.forward_features(images(64)), expected)
    file.write_bytes(b"not weights")
    with pytest.raises(DataError, match="cannot be read"):
        load_pretrained("timm/test_resnet.r160_in1k", "timm", tmp_path)


def test_weights_that_cannot_be_fetched_are_one_sentence(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", unreachable)
    with pytest.raises(DataError, match=r"r160_in1k/model\.safetensors and cannot be fetched .*: no route to host$"):
        load_pretrained("timm/test_resnet", "timm", tmp_path)


@pytest.mark.parametrize(
    ("backbone", "mixer"), [("test_vit", "transmix"), ("test_convnext", "manifoldmix"), ("test_resnet", "automix")]
)
def test_mixers_that_ask_the_network_train_it(backbone, mixer):
    settings = train.resolve(
        {"dataset": "cifar10", "backbone": f"timm/{backbone}", "image_size": 64, "mixer": mixer}
    ).settings
    method = build_method(settings, dataset_of(settings), seed=0)
    assert isinstance(method.network.backbone, TimmBackbone)
    pixels = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    loss, _ = method(pixels, torch.arange(4), torch.Generator().manual_seed(0))
    loss.backward()
    assert loss.isfinite()
