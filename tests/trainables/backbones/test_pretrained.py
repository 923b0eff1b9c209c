"""torchvision's weights: into every network and back, from a file, by download, and the errors if they are missing."""

import hashlib
import re

import pytest
import torch
from torch import nn
from torchvision import models

from tests.trainables.backbones.networks import drawn
from trainables import classify
from trainables.backbones import BACKBONES
from trainables.backbones.pretrained import (
    PRETRAINED,
    load_pretrained,
    prepare_pretrained,
    require_pretrained,
    torchvision_network,
)
from trainables.backbones.torchvision_keys import FROM_TORCHVISION, TO_TORCHVISION, exportable, renamed
from trainables.config import parse
from trainables.cost import noise_splits
from trainables.datasets import download, opening
from trainables.datasets.dataset import DataError
from trainables.datasets.opening import open_splits
from trainables.epoch import Epoch
from trainables.network_shapes import Undrawn
from trainables.training import Run

THEIRS = {
    "resnet18_imagenet": models.resnet18,
    "mobilenet_v2": models.mobilenet_v2,
    "efficientnet_b0": models.efficientnet_b0,
    "convnext_tiny": models.convnext_tiny,
    "swin_tiny": models.swin_t,
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name in ("convnext_tiny", "swin_tiny") else name for name in THEIRS],
)
@torch.no_grad()
def test_a_network_with_torchvision_s_weights_computes_torchvision_s_logits(name):
    with Undrawn():
        theirs = THEIRS[name]().eval()
    for key, value in theirs.state_dict().items():
        if value.is_floating_point():
            value.uniform_(0.5, 1.5) if key.endswith(("var", "norm.weight")) else value.uniform_(-0.1, 0.1)
    with Undrawn():
        ours = BACKBONES[name](num_classes=1000, weights=theirs.state_dict()).eval()
    head = [module for module in theirs.modules() if isinstance(module, nn.Linear)][-1]
    ours.head.load_state_dict(head.state_dict())
    images = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    torch.testing.assert_close(ours.double()(images), theirs.double()(images))


def test_weights_of_another_network_are_refused():
    with Undrawn():
        network, weights = models.resnet50(), models.resnet18().state_dict()
    with pytest.raises(DataError, match=r"do not fit the network: layer1\.0\.bn3\.bias is missing or of another shape"):
        torchvision_network(network, weights)


@pytest.fixture
def published(monkeypatch, tmp_path):
    """Return the name that torchvision would give to a file of our own, and its bytes."""
    source = tmp_path / "theirs.pth"
    torch.save({"conv1.weight": torch.ones(2)}, source)
    content = source.read_bytes()
    name = f"resnet18-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    file = models.Weights(url=f"{tmp_path.as_uri()}/{name}", transforms=nn.Identity, meta={})
    monkeypatch.setitem(PRETRAINED, "resnet18_imagenet", models.WeightsEnum("Published", {"IMAGENET1K_V1": file}))
    return name, content


def test_a_local_file_is_read_and_checked(published, tmp_path):
    name, content = published
    folder = tmp_path / "data" / "torchvision"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    loaded = load_pretrained("resnet18_imagenet", "IMAGENET1K_V1", tmp_path / "data")
    assert torch.equal(loaded["conv1.weight"], torch.ones(2))
    (folder / name).write_bytes(content + b"!")
    for read in (load_pretrained, prepare_pretrained):
        with pytest.raises(
            DataError,
            match=rf"{name} is broken: its SHA-256 begins with .* instead of .*; delete it, and it is fetched again",
        ):
            read("resnet18_imagenet", "IMAGENET1K_V1", tmp_path / "data")


def test_a_run_starts_from_the_file(monkeypatch, tmp_path):
    with Undrawn():
        donor = {key: torch.full_like(value, 0.5) for key, value in models.mobilenet_v2().state_dict().items()}
    source = tmp_path / "theirs.pth"
    torch.save(donor, source)
    name = f"mobilenet-{hashlib.sha256(source.read_bytes()).hexdigest()[:8]}.pth"
    file = models.Weights(url=f"file:///nowhere/{name}", transforms=nn.Identity, meta={})
    monkeypatch.setitem(PRETRAINED, "mobilenet_v2", models.WeightsEnum("Published", {"IMAGENET1K_V1": file}))
    (tmp_path / "torchvision").mkdir()
    source.rename(tmp_path / "torchvision" / name)

    monkeypatch.setattr(
        opening, "open_dataset", lambda config, root, on, workers: open_splits(config, noise_splits(config, 4), on)
    )
    started = []

    def start(run):
        started.append(next(run.method.network.backbone.stages.parameters()).detach().clone())
        run.history.append(Epoch(1, 1, {"train_seconds": 1.0}, {}, {}))

    monkeypatch.setattr(Run, "next_epoch", start)
    config = {"dataset": "cifar10", "backbone": "mobilenet_v2", "pretrained": "IMAGENET1K_V1", "epochs": 1}
    classify.train(config, seed=0, data_root=tmp_path)
    assert torch.equal(started[0].cpu(), donor["features.0.0.weight"])
    assert {"backbone", "pretrained"} <= set(classify.train.prepared)


def test_a_missing_file_is_downloaded_once_with_the_images(published, tmp_path, monkeypatch):
    name, content = published
    (tmp_path / name).write_bytes(content)  # where the address points
    images = []
    monkeypatch.setattr(opening, "prepare", lambda config, root: images.append(config.dataset))
    config = parse({"dataset": "cub200", "backbone": "resnet18_imagenet", "pretrained": "IMAGENET1K_V1"})
    classify.train.prepare(config, tmp_path / "data")
    path = tmp_path / "data" / "torchvision" / name
    assert path.read_bytes() == content
    assert images == ["cub200"]
    (tmp_path / name).unlink()
    assert prepare_pretrained("resnet18_imagenet", "IMAGENET1K_V1", tmp_path / "data") == path


def test_neither_a_file_nor_a_connection(published, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.01)
    wanted = tmp_path / "data" / "torchvision" / published[0]
    with pytest.raises(DataError, match="the weights IMAGENET1K_V1 of resnet18_imagenet are not at ") as error:
        prepare_pretrained("resnet18_imagenet", "IMAGENET1K_V1", tmp_path / "data")
    assert str(wanted) in str(error.value)
    assert not wanted.exists()


def test_weights_that_torchvision_does_not_have(tmp_path):
    assert load_pretrained("resnet8", "none", tmp_path) is None
    require_pretrained("resnet50_imagenet", "IMAGENET1K_V2")
    with pytest.raises(ValueError, match="'IMAGENET1K_V1' for backbone 'resnet8'; it has some for resnet18_imagenet"):
        require_pretrained("resnet8", "IMAGENET1K_V1")
    with pytest.raises(ValueError, match=r"'IMAGENET1K_V2' .* 'swin_tiny'; it has IMAGENET1K_V1"):
        require_pretrained("swin_tiny", "IMAGENET1K_V2")


def test_every_file_s_name_says_its_hash():
    for weights in (member for kind in PRETRAINED.values() for member in kind):
        assert re.search(r"-[0-9a-f]{8}\.pth$", weights.url)


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


@pytest.mark.parametrize("way", [TO_TORCHVISION, FROM_TORCHVISION])
def test_another_network_is_refused(way):
    with pytest.raises(ValueError, match="features is not a weight of one of torchvision's residual networks"):
        renamed({"features": torch.zeros(1)}, way)
    assert not exportable("resnet18")
