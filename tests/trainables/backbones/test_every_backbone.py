"""The laws of every backbone. A new member of BACKBONES is tested as soon as it exists.

Sizes and shapes are computed on the ``meta`` device, which stores no numbers; the numbers are checked on one
member of each family, on images that are not square where the network takes such.
"""

import copy
import functools

import pytest
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, Bottleneck

from tests.trainables.backbones.networks import SMALL_IMAGES, TRANSFORMERS, build, drawn, on_meta
from trainables.backbones import BACKBONES
from trainables.backbones.backbone import Backbone, Network, initialise
from trainables.backbones.pretrained import PRETRAINED
from trainables.network_shapes import Undrawn, Unnormalised

# Published numbers of parameters, in millions: (at how many classes, how many, to how many digits).
PUBLISHED = {
    "resnet20": (10, 0.27, 2),  # He et al. 2016, Table 6
    "resnet56": (10, 0.85, 2),
    "wrn28_8_paper": (10, 23.4, 1),  # Zagoruyko and Komodakis, Table 4
    "wrn28_8": (10, 23.4, 1),  # the biases of its convolutions are 8000
    "wrn16_8": (10, 11.0, 1),
    "preact_resnet18": (10, 11.2, 1),
    "pyramidnet110": (100, 1.7, 1),  # Han et al., Table 4
    "pyramidnet200": (100, 26.8, 1),
    "resnext101_imagenet": (1000, 44.18, 2),
    "deit_small": (1000, 22.1, 1),  # Touvron et al., Table 1: 22 M
}
# The same network in torchvision, whose own number is exact; the 3x3 stem lacks 64 x 3 x (49 - 9) weights.
SMALL_STEM = {
    "resnet18": models.ResNet18_Weights.IMAGENET1K_V1,
    "resnet34": models.ResNet34_Weights.IMAGENET1K_V1,
    "resnet50": models.ResNet50_Weights.IMAGENET1K_V1,
    "resnext50": models.ResNeXt50_32X4D_Weights.IMAGENET1K_V1,
}
SECONDS_EACH = (
    "preact_resnet18",
    "pyramidnet110",
    "resnet18_imagenet",
    "mobilenet_v2",
    "efficientnet_b0",
    "deit_small",
    "swin_tiny",
    "convnext_tiny_cifar",
)
ONE_A_FAMILY = (
    "resnet8",
    "resnext29",
    "wrn16_8",
    "wrn28_8",
    "vit_tiny_32",
    *(pytest.param(name, marks=pytest.mark.slow) for name in SECONDS_EACH),
)
one_a_family = pytest.mark.parametrize("name", ONE_A_FAMILY)
LARGE = [pytest.param(name, marks=pytest.mark.slow) for name in ("convnext_tiny", "swin_tiny")]


def size(name: str, num_classes: int) -> int:
    backbone = on_meta(name)
    below = (*backbone.stages.parameters(), *backbone.neck.parameters())
    return sum(p.numel() for p in below) + (backbone.head.in_features + 1) * num_classes


def pixels(name: str, rows: int = 2) -> Tensor:
    shape = (32, 32) if name in TRANSFORMERS else (16, 12) if name in SMALL_IMAGES else (32, 64)
    return torch.randn(rows, 3, *shape, generator=torch.Generator().manual_seed(3))


@functools.cache
def scrambled(name: str) -> Backbone:
    """Return the network in evaluation mode, without any weight or statistic of 0 or 1, which could hide a slip."""
    backbone = drawn(name)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return backbone


@pytest.mark.parametrize("name", [*PRETRAINED, *SMALL_STEM, *PUBLISHED])
def test_as_many_parameters_as_published(name):
    if name in PRETRAINED:
        assert size(name, 1000) == next(iter(PRETRAINED[name])).meta["num_params"]
    if name in SMALL_STEM:  # only the kernels of its stem are smaller
        assert size(name, 1000) == SMALL_STEM[name].meta["num_params"] - 64 * 3 * (7 * 7 - 3 * 3)
    if name in PUBLISHED:
        classes, millions, digits = PUBLISHED[name]
        assert round(size(name, classes) / 1e6, digits) == millions


def test_resnext29_has_the_parameters_of_its_layers_counted_by_hand():
    """The 4x24d of Co-Mixup has inner widths 96, 192, 384, and each group takes a quarter of them."""
    total = 3 * 3 * 3 * 64 + 2 * 64
    width = 64
    for inner, out in ((96, 256), (192, 512), (384, 1024)):
        total += width * out + 2 * out  # the shortcut
        for _ in range(3):
            total += width * inner + inner * inner // 4 * 9 + inner * out + 2 * (inner + inner + out)
            width = out
    assert size("resnext29", 100) == total + 1024 * 100 + 100


def test_the_small_transformer_has_the_parameters_of_its_layers_counted_by_hand():
    width, hidden = 96, 4 * 96
    tokens = (3 * 4 * 4 + 1) * width + width + (8 * 8 + 1) * width
    block = 4 * width + (width + 1) * 3 * width + (width + 1) * width + (width + 1) * hidden + (hidden + 1) * width
    with torch.device("meta"):
        backbone = build("vit_tiny_32", 32, num_classes=10)
    counted = tokens + 4 * block + 2 * width + (width + 1) * 10
    assert sum(p.numel() for p in backbone.parameters()) == counted


def test_every_backbone_has_a_published_number_or_one_by_hand():
    counted = {*PUBLISHED, *PRETRAINED, *SMALL_STEM, "resnext29", "vit_tiny_32"}
    # resnet8 is resnet20 with fewer blocks; the small ConvNeXt differs from torchvision's by its stem.
    assert set(BACKBONES) - counted == {"resnet8", "convnext_tiny_cifar"}


@pytest.mark.parametrize(
    ("name", "side"),
    [
        *((name, 32 if name in SMALL_IMAGES and name not in TRANSFORMERS else 224) for name in BACKBONES),
        ("resnet18", 64),
        ("resnext50", 64),
    ],
)
def test_features_and_maps_have_the_shapes_of_their_family(name, side):
    backbone = on_meta(name)
    images = torch.empty(2, 3, side, side, device="meta")
    with Unnormalised():
        maps = backbone.encode(images)
    features = backbone.pool(maps)
    assert isinstance(backbone.head, nn.Linear)
    assert features.shape == (2, backbone.head.in_features)
    assert backbone.head(features).shape == (2, 7)
    down = TRANSFORMERS.get(name, 2 ** (len(backbone.stages) - 2) if name in SMALL_IMAGES else 32)
    assert backbone.grid(maps).shape == (*features.shape, side // down, side // down)


@one_a_family
def test_one_channel_will_do(name):
    with torch.device("meta"), Undrawn():
        backbone = build(name, 32, num_classes=7, in_channels=1)
    one, three = (sum(p.numel() for p in b.stages[0].parameters() if p.ndim == 4) for b in (backbone, on_meta(name)))
    assert one < three
    assert backbone.encode(torch.empty(2, 1, 32, 32, device="meta"), 0, 1).shape[0] == 2


@one_a_family
@torch.no_grad()
def test_the_parts_make_the_whole(name):
    backbone, images = scrambled(name), pixels(name)
    logits = backbone(images)
    assert logits.std() > 1e-3
    assert torch.equal(logits, backbone.head(backbone.forward_features(images)))
    maps = backbone.encode(images)
    assert torch.equal(logits, backbone.head(backbone.pool(maps)))
    for cut in range(len(backbone.stages) + 1):
        assert torch.equal(maps, backbone.encode(backbone.encode(images, 0, cut), cut)), cut
    assert not torch.equal(maps, images)


@one_a_family
@torch.no_grad()
def test_the_head_is_in_full_precision_also_where_the_rest_is_not(name):
    """In bfloat16 the two largest logits are the same number for 0.75 % of CIFAR-10's test images."""
    network = Network(scrambled(name), mean=(0.5,) * 3, std=(0.25,) * 3).eval()
    with torch.autocast("cpu", torch.bfloat16):
        features = network.forward_features(pixels(name))
        logits = network(pixels(name))
    assert logits.dtype == torch.float32
    assert torch.equal(logits, network.head(features.float()))


@one_a_family
@torch.no_grad()
def test_neither_the_other_rows_nor_the_memory_format_change_a_number(name):
    backbone, images = copy.deepcopy(scrambled(name)).double(), pixels(name, rows=3).double()
    plain = backbone(images)
    torch.testing.assert_close(plain[1:2], backbone(images[1:2]))
    backbone.to(memory_format=torch.channels_last)
    strided = backbone(images.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(strided, plain)


@one_a_family
def test_the_table_s_initial_values(name):
    backbone = drawn(name, num_classes=50)
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    initialise(backbone, "torch_default")
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    initialise(backbone, "om_table")
    head = backbone.head.weight
    assert head.std().item() == pytest.approx(0.02 if backbone.drawn_as == "transformer" else 0.01, rel=0.06)
    assert not backbone.head.bias.any()
    backbone.train()(pixels(name, rows=4)).square().mean().backward()
    # Zeros at the end of a residual branch stop the gradient inside it in the first step, and only there.
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        holders = [key.rsplit(".", up)[0] for up in range(1, key.count(".") + 1)]  # the modules that it is in
        inside = any(isinstance(backbone.get_submodule(part), BasicBlock | Bottleneck) for part in holders)
        assert inside or parameter.grad.any(), key


@pytest.mark.parametrize(
    ("name", "last"),
    [
        ("resnet8", "bn2"),
        ("resnext29", "bn3"),
        ("resnet18_imagenet", "bn2"),
        *((name, None) for name in ("wrn16_8", "preact_resnet18", "pyramidnet110", "mobilenet_v2")),
    ],
)
def test_the_residual_branches_of_the_table_start_at_zero_by_their_last_norm(name, last):
    """Where no norm ends a branch, all start at one."""
    with Undrawn():
        backbone = BACKBONES[name](num_classes=10)
        initialise(backbone, "om_table")
    norms = {key: module for key, module in backbone.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for key, norm in norms.items():
        assert norm.weight.eq(0 if last and key.endswith(last) else 1).all(), key
    assert last is None or any(key.endswith(last) for key in norms)


@pytest.mark.parametrize("name", ["resnet8", "resnext29", "resnet18_imagenet", *LARGE])
def test_torch_default_is_pytorch_s_and_not_torchvision_s(name):
    """PyTorch draws a convolution uniformly between plus and minus one over the root of its fan-in."""
    torch.manual_seed(0)
    backbone = BACKBONES[name](num_classes=10)
    for key, module in backbone.named_modules():
        if isinstance(module, nn.Conv2d):
            bound = (module.weight[0].numel()) ** -0.5
            assert module.weight.abs().max() <= bound, key
            assert module.weight.numel() < 1000 or module.weight.abs().max() > 0.95 * bound, key


@pytest.mark.parametrize("name", ["resnet18_imagenet", "efficientnet_b0", "vit_tiny_32", *LARGE])
def test_drop_path_drops_rows_in_training_alone(name):
    backbone = drawn(name, drop_path=0.9).double()
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64).expand(3, -1, -1, -1)
    with torch.no_grad():
        tested = backbone(images)
        torch.testing.assert_close(tested, tested[:1].expand_as(tested))
        backbone.train().neck.eval()  # drop-out would also set rows apart
        trained = backbone(images)
    assert not torch.allclose(trained, trained[:1].expand_as(trained), rtol=1e-3, atol=1e-4)
