"""Weights under torchvision's names make torchvision's network compute the same."""

import pytest
import torch
from torchvision import models

from tests.trainables.backbones.networks import drawn
from trainables.backbones.torchvision_keys import FROM_TORCHVISION, TO_TORCHVISION, exportable, renamed
from trainables.network_shapes import Undrawn


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("resnet18_imagenet", models.resnet18),
        pytest.param("resnet50_imagenet", models.resnet50, marks=pytest.mark.slow),
    ],
)
def test_torchvision_s_network_computes_the_same_and_the_way_back_is_exact(ours, theirs):
    assert exportable(ours)
    backbone = drawn(ours).double()
    with Undrawn():
        network = theirs(num_classes=7).double().eval()
    network.load_state_dict(renamed(backbone.state_dict(), TO_TORCHVISION))
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(images), backbone(images))
    back = renamed(network.state_dict(), FROM_TORCHVISION)
    assert set(back) == set(backbone.state_dict())
    assert all(torch.equal(value, back[name]) for name, value in backbone.state_dict().items())


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="features is not a weight of one of torchvision's residual networks"):
        renamed({"features": torch.zeros(1)}, TO_TORCHVISION)
    with pytest.raises(ValueError, match="features is not a weight"):
        renamed({"features": torch.zeros(1)}, FROM_TORCHVISION)
    assert not exportable("resnet18")
