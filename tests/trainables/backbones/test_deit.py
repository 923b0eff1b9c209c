"""The tokens of DeiT, and its class attention."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.vision_transformer import VisionTransformer

from trainables.backbones.backbone import Network
from trainables.backbones.deit import DeiT, vit_tiny_32
from trainables.methods.inputs import INPUTS, HasClassToken

SIDE = 32  # eight patches by eight


@functools.cache
def network() -> DeiT:
    torch.manual_seed(0)
    made = vit_tiny_32(num_classes=5).eval()
    for parameter in made.parameters():
        nn.init.uniform_(parameter, *((0.5, 1.0) if parameter.ndim == 1 else (-0.1, 0.1)))
    for block in made.stages[1:]:
        nn.init.normal_(block.self_attention.in_proj_weight, std=0.2)  # far from uniform attention
    return made.double()  # two ways of one computation agree to the last digits on every processor


def pixels(rows: int = 3) -> Tensor:
    return torch.randn(rows, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@torch.no_grad()
def test_the_same_function_as_torchvision_s_transformer_of_that_size():
    ours = network()
    theirs = VisionTransformer(SIDE, 4, 4, 3, 96, 4 * 96, num_classes=5).eval().double()
    state = {"class_token": ours.stages[0].class_token, "encoder.pos_embedding": ours.stages[0].pos_embedding}
    state |= {f"conv_proj.{key}": value for key, value in ours.stages[0].conv_proj.state_dict().items()}
    state |= {f"encoder.ln.{key}": value for key, value in ours.neck.state_dict().items()}
    state |= {f"heads.head.{key}": value for key, value in ours.head.state_dict().items()}
    for index, block in enumerate(ours.stages[1:]):
        state |= {f"encoder.layers.encoder_layer_{index}.{key}": v for key, v in block.state_dict().items()}
    theirs.load_state_dict(state)
    torch.testing.assert_close(ours(pixels()), theirs(pixels()))


@torch.no_grad()
def test_class_attention_by_hand():
    backbone, images = network(), pixels()
    assert isinstance(backbone, HasClassToken)
    attention = backbone.class_attention(images)
    assert attention.shape == (3, 8, 8)
    last = backbone.stages[-1]
    tokens = last.ln_1(backbone.encode(images, 0, 4)[:, :, 0].mT)  # (B, T, D)
    query, key, _ = F.linear(tokens, last.self_attention.in_proj_weight, last.self_attention.in_proj_bias).chunk(3, 2)
    heads = [
        (query[:, :1, head] @ key[:, :, head].mT / 32**0.5).softmax(dim=2)[:, 0]
        for head in (slice(32 * h, 32 * h + 32) for h in range(3))
    ]
    torch.testing.assert_close(attention.flatten(1), sum(heads)[:, 1:] / 3)
    assert (attention.flatten(1).sum(dim=1) < 1).all()  # the class token pays itself the rest
    assert attention.flatten(1).std(dim=1).min() > 1e-4


@torch.no_grad()
def test_the_grid_has_each_patch_in_its_place():
    backbone, images = network(), pixels(1)
    stem = backbone.grid(backbone.encode(images, 0, 1))
    assert stem.shape == (1, 96, 8, 8)
    images[:, :, 4:8, 8:12] += 1  # the patch in row 1, column 2
    moved = (backbone.grid(backbone.encode(images, 0, 1)) - stem).abs().sum(dim=1)[0]
    assert moved[1, 2] > 0.1
    moved[1, 2] = 0
    assert not moved.any()


def test_a_mixer_of_feature_maps_is_given_the_grid():
    given = Network(network(), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2)).double()
    assert INPUTS["attention"](given, pixels(2), torch.tensor([0, 1])).shape == (2, 8, 8)


def test_image_sizes():
    with pytest.raises(ValueError, match="image_size must be a multiple of 4, the side of a patch, got 50"):
        vit_tiny_32(num_classes=5, image_size=50)
    with pytest.raises(RuntimeError, match="built for 64 patches, and these images have 16"):
        network()(torch.rand(1, 3, 16, 16, dtype=torch.float64))
