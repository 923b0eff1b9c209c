"""SuperMix's teacher comes from a file and is frozen, or is refused with a sentence that says why."""

from pathlib import Path

import pytest
import torch

from tests.trainables.methods.small import method_for
from trainables.config import parse
from trainables.methods import build_method, build_network
from trainables.rehearsal import rehearse

CONFIG = {"dataset": "cifar10", "backbone": "resnet8", "mixer": "supermix", "mixer.max_iter": 2}


def method_with(teacher: Path | None):
    return method_for("supermix", mixer__max_iter=2, mixer__teacher=None if teacher is None else str(teacher))


@pytest.fixture
def saved(tmp_path):
    network = build_network(parse(CONFIG), seed=7)
    torch.save(network.backbone.state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_the_teacher_is_read_and_never_trained_and_decides_what_is_mixed(saved):
    method = method_with(saved)
    before = {name: value.clone() for name, value in method.teacher.state_dict().items()}
    own = build_network(parse(CONFIG), seed=7).backbone.head.weight
    assert torch.equal(method.teacher.backbone.head.weight, own)
    assert not torch.equal(method.network.backbone.head.weight, own)

    assert not any(p.requires_grad for p in method.teacher.parameters())
    optimiser = torch.optim.SGD(method.parameters(), lr=0.1, weight_decay=0.1)
    images = torch.rand(4, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    loss, _ = method(images, torch.arange(4), torch.Generator().manual_seed(0))
    loss.backward()
    optimiser.step()
    assert all(torch.equal(before[name], value) for name, value in method.teacher.state_dict().items())
    assert method.evaluated is method.network
    taught, alone = (
        each.mix(images, torch.arange(4), torch.Generator().manual_seed(0))
        for each in (method_with(saved), method_with(None))
    )
    assert torch.equal(taught.sources, alone.sources)
    assert not torch.equal(taught.images, alone.images)


@pytest.mark.slow
def test_a_step_with_a_teacher_can_be_rehearsed(saved):
    rehearse(parse({**CONFIG, "mixer.teacher": str(saved)}))


def test_a_file_that_is_no_teacher_is_refused(tmp_path):
    torch.save({"weight": torch.zeros(1)}, tmp_path / "other.pt")
    (tmp_path / "text.pt").write_text("not a checkpoint")
    for name in ("missing.pt", "other.pt", "text.pt"):
        with pytest.raises(ValueError, match=rf"mixer.teacher must hold the state_dict of a resnet8, got .*{name}"):
            method_with(tmp_path / name)


def test_a_teacher_is_built_for_the_size_of_the_images(tmp_path):
    """A transformer has as many embeddings of positions as its images have patches: here 16 x 16, not 8 x 8."""
    config = {**CONFIG, "dataset": "tiny_imagenet", "backbone": "vit_tiny_32"}
    network = build_network(parse(config), seed=7)
    torch.save(network.backbone.state_dict(), tmp_path / "model.pt")
    method = build_method(parse({**config, "mixer.teacher": str(tmp_path / "model.pt")}), seed=0)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(method.teacher.eval()(images), network.requires_grad_(False).eval()(images))
