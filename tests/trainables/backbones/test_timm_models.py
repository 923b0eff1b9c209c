"""Models of timm: the same numbers as timm's own, cut into stages where that is known, with attention and weights."""

import copy
import functools
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from trainables.backbones.backbone import Backbone, initialise, initialise_head
from trainables.backbones.names import constructor_of
from trainables.backbones.pretrained import TIMM_FILE, load_pretrained
from trainables.backbones.timm_layouts import features_and_stages
from trainables.backbones.timm_models import MOVED, TimmBackbone
from trainables.classify import train
from trainables.datasets.dataset import DataError
from trainables.methods import build_method

# name: (side of the images, stages with the stem, class, what is compared besides the features); one of each class
# whose stages are moved, others whose stages are kept, and others that are one stage: maps, tokens with and without a
# class token, tokens whose grid timm does not say, a class token alone, and tensors in a list
MODELS: dict[str, tuple[Any, ...]] = {
    "test_byobnet": (64, 5, "ByobNet"),
    "test_convnext": (64, 5, "ConvNeXt"),
    "test_efficientnet": (64, 6, "EfficientNet"),
    "test_resnet": (64, 5, "ResNet"),
    "test_vit": (64, 7, "VisionTransformer", "grid", "attention"),
    "test_vit2": (64, 9, "VisionTransformer"),  # no class token
    "mobilenetv3_small_050": (64, 7, "MobileNetV3"),
    "regnetx_002": (64, 5, "RegNet"),
    "test_nfnet": (64, 5, "NormFreeNet"),
    "test_mambaout": (64, 5, "MambaOut"),
    "pit_ti_224": (64, 1, "PoolingVisionTransformer", "grid", "attention"),
    "efficientvim_m1": (128, 1, "EfficientViM", "grid"),
}
SLOW: dict[str, tuple[Any, ...]] = {
    "eva02_tiny_patch14_224": (56, 1, "Eva", "grid", "attention"),
    "poolformerv2_s12": (64, 5, "MetaFormer"),
    "cait_xxs24_224": (64, 1, "Cait", "grid", "attention"),
    "coat_tiny": (64, 1, "CoaT", "grid"),
    "crossvit_tiny_240": (240, 1, "CrossVit", "grid", "attention"),
    "deit_tiny_distilled_patch16_224": (64, 13, "VisionTransformerDistilled", "attention"),
    "densenet121": (64, 5, "DenseNet"),
    "dla46x_c": (64, 5, "DLA"),
    "efficientformer_l1": (224, 1, "EfficientFormer", "grid"),
    "gmlp_ti16_224": (64, 31, "MlpMixer", "grid"),
    "hiera_tiny_224": (224, 1, "Hiera", "grid"),
    "inception_resnet_v2": (128, 4, "InceptionResnetV2"),
    "inception_v3": (128, 12, "InceptionV3"),
    "levit_256d": (128, 4, "Levit"),
    "levit_128s": (128, 4, "LevitDistilled", "grid"),
    "legacy_seresnet18": (64, 5, "SENet"),
    "mvitv2_tiny": (64, 1, "MultiScaleVit", "grid"),
    "pvt_v2_b0": (64, 5, "PyramidVisionTransformerV2"),
    "rdnet_tiny": (64, 8, "RDNet"),
    "resnetv2_18": (64, 5, "ResNetV2"),
    "swinv2_cr_tiny_224": (224, 5, "SwinTransformerV2Cr"),
    "tnt_s_legacy_patch16_224": (64, 1, "TNT", "grid", "attention"),
    "twins_svt_small": (64, 1, "Twins", "grid"),
    "volo_d1_224": (224, 1, "VOLO", "grid", "attention"),
    "xcit_nano_12_p16_224": (64, 1, "Xcit", "grid", "attention"),
    "maxvit_rmlp_pico_rw_256": (64, 5, "MaxxVit"),
    "swin_tiny_patch4_window7_224": (64, 5, "SwinTransformer"),
    "swinv2_tiny_window8_256": (64, 5, "SwinTransformerV2"),
}
ALL = MODELS | SLOW


def each(*names: str) -> pytest.MarkDecorator:
    marked = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names]
    return pytest.mark.parametrize("name", marked)


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
    families = {family for _, stages, family, *_ in ALL.values() if stages > 1}
    assert families > set(MOVED)


@each("test_nfnet", "densenet121")
def test_weights_of_stages_that_are_kept_have_timm_s_names_in_timm_s_order(name):
    ours, theirs = both(name, 64)
    assert len(ours.stages) == 5
    assert list(ours.stages.state_dict()) == [f"0.model.{key}" for key in theirs.state_dict()]
    assert [key for key, _ in ours.stages[0].model.named_parameters()] == [key for key, _ in theirs.named_parameters()]


@pytest.mark.slow
@each(*ALL)
@torch.no_grad()
def test_the_features_are_timm_s_bit_for_bit_and_the_stages_make_the_whole(name):
    side, stages, family, *_ = ALL[name]
    ours, theirs = both(name, side)
    assert type(theirs).__name__ == family
    expected = theirs.forward_head(theirs.forward_features(images(side)), pre_logits=True)
    assert expected.std() > 1e-5  # LeViT starts with branches that are zero
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
    assert min(ours.grid(whole).shape[2:]) > 1


@each(*(name for name in ALL if "grid" in ALL[name]))
@torch.no_grad()
def test_the_grid_is_timm_s_last_map_where_the_features_are_not_a_map(name):
    side, _, family, *_ = ALL[name]
    ours, theirs = both(name, side)
    _, maps = theirs.forward_intermediates(images(side), norm=family != "Hiera")  # it normalises the means
    torch.testing.assert_close(ours.grid(ours.encode(images(side))), maps[-1])


@pytest.mark.slow
def test_an_encoder_is_no_classifier():
    with pytest.raises(ValueError, match="_enc' must be a classifier, which timm's MobileNetV5Encoder is not"):
        build("mobilenetv5_300m_enc", 224)


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
    for without in ("test_vit2", "efficientvim_m1"):
        assert not hasattr(both(without, MODELS[without][0])[0], "class_attention")


@each(*(name for name in ALL if "attention" in ALL[name]))
@torch.no_grad()
def test_a_class_token_shares_its_attention_among_the_patches_and_the_tokens(name):
    side = ALL[name][0]
    found = both(name, side)[0].class_attention(images(side))
    assert found.ndim == 3
    assert min(found.shape[1:]) > 1
    assert found.min() > 0
    shares = found.sum(dim=(1, 2))  # the attention of a token to itself is missing
    assert shares.max() < 1
    assert shares.min() > 0.6


def test_init_draws_the_head_alone():
    torch.manual_seed(0)
    ours = build("test_resnet", 64)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    initialise_head(ours, "torch_default")
    assert torch.equal(ours.head.weight, before["head.weight"])
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
    ("backbone", "mixer"),
    [("test_vit", "transmix"), ("test_convnext", "manifoldmix"), ("test_resnet", "automix"), ("test_nfnet", "automix")],
)
def test_mixers_that_ask_the_network_train_it(backbone, mixer):
    keys = {"dataset": "cifar10", "backbone": f"timm/{backbone}", "image_size": 64, "mixer": mixer}
    method = build_method(train.resolve(keys).settings, seed=0)
    assert isinstance(method.network.backbone, TimmBackbone)
    loss, _ = method(images(64).sigmoid(), torch.arange(2), torch.Generator().manual_seed(0))
    loss.backward()
    assert loss.isfinite()


DOUBLE = functools.partial(nn.Upsample, scale_factor=2)


def straight(chain: Any, x: Tensor) -> Tensor:
    for module in (chain.stem, *chain.blocks, chain.norm):
        x = module(x)
    return x


@pytest.mark.parametrize(
    ("forward", "block", "stages"),
    [
        (straight, DOUBLE, (("blocks.0",), ("blocks.1",), ("blocks.2", "norm"))),
        (lambda chain, x: straight(chain, x) + x.mean(), DOUBLE, ()),
        (lambda chain, x: chain.blocks[2](chain.blocks[1](chain.blocks[0](x) + 1) + 1) + 1, DOUBLE, ()),
        # A tensor and a number are handed on, as PiT does a map and a token.
        (lambda chain, x: functools.reduce(lambda pair, each: each(pair), chain.blocks, (x, 0))[0], nn.Identity, ()),
        (lambda chain, x: [straight(chain, x)], DOUBLE, ()),
    ],
)
def test_a_model_has_stages_where_one_tensor_passes_them_and_nothing_else_does(forward, block, stages):
    chain = nn.Module()
    chain.stem, chain.blocks, chain.norm = nn.ReLU(), nn.ModuleList(block() for _ in range(3)), nn.ReLU()
    chain.forward_features = functools.partial(forward, chain)
    assert features_and_stages(chain, torch.ones(1, 1, 2, 3))[1] == stages
