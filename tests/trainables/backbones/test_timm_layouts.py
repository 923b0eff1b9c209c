"""A model of timm is cut into stages where one tensor passes from each to the next, and nothing else does."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainables.backbones.timm_layouts import features_and_stages


class Chain(nn.Module):
    """A model of three blocks, each of which doubles the image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.ReLU(), nn.ReLU()
        self.blocks = nn.ModuleList(nn.Upsample(scale_factor=2) for _ in range(3))

    def forward_features(self, x: Tensor) -> Any:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Skipping(Chain):
    """Adds the first map to the last."""

    def forward_features(self, x: Tensor) -> Any:
        return super().forward_features(x) + x.mean()


class Between(Chain):
    """Changes a map between two blocks."""

    def forward_features(self, x: Tensor) -> Any:
        for block in self.blocks:
            x = block(x) + 1
        return x


class InPairs(Chain):
    """Hands on a tensor and a number, as PiT does a map and a token."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Identity() for _ in range(3))

    def forward_features(self, x: Tensor) -> Any:
        pair = x, 0
        for block in self.blocks:
            pair = block(pair)
        return pair[0]


class InList(Chain):
    """Returns its features in a list."""

    def forward_features(self, x: Tensor) -> Any:
        return [super().forward_features(x)]


@pytest.mark.parametrize(
    ("model", "stages"),
    [
        (Chain, (("blocks.0",), ("blocks.1",), ("blocks.2", "norm"))),
        *((one_stage, ()) for one_stage in (Skipping, Between, InPairs, InList)),
    ],
)
def test_a_model_has_stages_where_one_tensor_passes_them_and_nothing_else_does(model, stages):
    assert features_and_stages(model(), torch.ones(1, 1, 2, 3))[1] == stages
