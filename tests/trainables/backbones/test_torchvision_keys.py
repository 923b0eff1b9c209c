"""Weights under torchvision's names make torchvision's network compute the same."""

import pytest
import torch
from torchvision import models

from tests.trainables.backbones.test_every_backbone import drawn
from trainables.backbones.torchvision_keys import exportable, from_torchvision, to_torchvision
from trainables.rehearsal import Undrawn


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
    network.load_state_dict(to_torchvision(backbone.state_dict()))
    images = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(images), backbone(images))
    back = from_torchvision(network.state_dict())
    assert set(back) == set(backbone.state_dict())
    assert all(torch.equal(value, back[name]) for name, value in backbone.state_dict().items())


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="features is not a weight of one of torchvision's residual networks"):
        to_torchvision({"features": torch.zeros(1)})
    with pytest.raises(ValueError, match="features is not a weight"):
        from_torchvision({"features": torch.zeros(1)})
    assert not exportable("resnet18")
