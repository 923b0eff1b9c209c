"""Networks that a mixer asks come from a file and are frozen, or are refused with a sentence that says why."""

from pathlib import Path

import pytest
import torch
from torchvision.models.resnet import resnet18, resnet34, resnet50

from tests.trainables.methods.small import method_for, step
from tests.trainables.refusal import BASE, check, require_refused
from trainables.config import parse
from trainables.methods import build_method, build_network
from trainables.mixers.attentivemix import attentivemix
from trainables.rehearsal import rehearse

IMAGES = torch.rand(2, 3, 16, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def method_with(extractor: Path | None):
    return method_for("attentivemix", mixer__extractor=None if extractor is None else str(extractor)).double()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [resnet18, resnet50])
def test_the_extractor_attends_in_7_by_7_cells_and_is_never_trained(kind, tmp_path):
    torch.manual_seed(0)
    original = kind().eval()
    torch.save(original.state_dict(), tmp_path / "resnet.pth")
    method = method_with(tmp_path / "resnet.pth").float()
    images = IMAGES.float()

    maps = []
    original.layer4.register_forward_hook(lambda module, given, out: maps.append(out))
    mean, std = (torch.tensor(v) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        shown = torch.nn.functional.interpolate(images, (224, 224), mode="bilinear")
        original((shown - mean[:, None, None]) / std[:, None, None])
    torch.testing.assert_close(method.extractor(images), maps[0].mean(dim=1), rtol=1e-4, atol=1e-5)

    loss, _ = method(images, torch.arange(2), torch.Generator().manual_seed(1))
    loss.backward()
    assert all(p.grad is None for p in method.extractor.parameters())
    assert torch.equal(method.extractor.stages[0].weight, original.conv1.weight)
    alone = method_with(None).float().mix(images, torch.arange(2), torch.Generator().manual_seed(1))
    mixed = method.mix(images, torch.arange(2), torch.Generator().manual_seed(1))
    assert torch.equal(mixed.sources, alone.sources)
    assert not torch.equal(mixed.images, alone.images)


@pytest.mark.parametrize("pipeline", [None, "mp"])
def test_without_a_file_the_attention_is_that_of_the_moving_average(pipeline):
    """After t steps it has kept (1 + t) / (10 + t) of its weights and statistics: 2/11 after one, 3/12 after two."""
    method = method_for("attentivemix", seed=1, mixer__pipeline=pipeline).double()
    attentive = method if pipeline is None else method.method
    average, network = attentive.average.network, attentive.network
    wanted = {name: value.clone() for name, value in network.state_dict().items()}
    optimiser = torch.optim.SGD(method.parameters(), lr=0.5)
    for number, kept in enumerate((2 / 11, 3 / 12)):
        method(IMAGES, torch.arange(2), torch.Generator().manual_seed(number)).loss.backward()
        optimiser.step()
        method.after_step(0.5)
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                wanted[name] = kept * wanted[name] + (1 - kept) * value
    assert all(p.grad is None for p in average.parameters())
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, wanted[name])
    images = torch.rand(32, 3, 16, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    drawn = attentive.mix(images, torch.zeros(32, dtype=torch.long), torch.Generator().manual_seed(9)).images
    for looks_through in (average, network):
        attention = looks_through.eval().encode(images, 4).mean(dim=1)
        mixed = attentivemix(images, torch.Generator().manual_seed(9), attention=attention).images
        assert torch.equal(mixed, drawn) == (looks_through is average)


def test_the_moving_average_keeps_no_more_than_its_decay():
    method = method_for("attentivemix", mixer__ema=0.3)
    for _ in range(3):
        method.after_step(0.5)
    before = method.average.network.backbone.head.weight.clone()
    method.network.backbone.head.weight.data.zero_()
    method.after_step(0.5)
    torch.testing.assert_close(method.average.network.backbone.head.weight, 0.3 * before)  # not 5/14
    without = method_for("attentivemix", mixer__ema=0.0)
    step(without)
    without.after_step(0.5)
    assert without.average is None


def save_zeros(kind, file: Path) -> None:
    with torch.device("meta"):
        shapes = {name: value.shape for name, value in kind().state_dict().items()}
    torch.save({name: torch.zeros(()).expand(shape) for name, shape in shapes.items()}, file)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet20"])  # whose own maps have 16 and 64 cells
def test_as_many_cells_can_be_kept_as_the_extractor_has(backbone, tmp_path):
    save_zeros(resnet18, tmp_path / "resnet18.pth")
    config = {**BASE, "backbone": backbone, "mixer": "attentivemix", "mixer.extractor": str(tmp_path / "resnet18.pth")}
    check({**config, "mixer.top_k": 49})
    require_refused(
        {**config, "mixer.top_k": 50}, "top_k must be between 1 and 49, the cells of the attention map, got 50"
    )


def test_a_file_that_is_no_extractor_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"mixer.extractor must hold a ResNet-18's or -50's weights, got .*none\.pth"):
        method_with(tmp_path / "none.pth")
    save_zeros(resnet34, tmp_path / "resnet34.pth")
    with pytest.raises(ValueError, match=r"mixer.extractor must hold .*resnet34\.pth"):
        method_with(tmp_path / "resnet34.pth")


CONFIG = {"dataset": "cifar10", "backbone": "resnet8", "mixer": "supermix", "mixer.max_iter": 2}


def method_by(teacher: Path | None):
    return method_for("supermix", mixer__max_iter=2, mixer__teacher=None if teacher is None else str(teacher))


@pytest.fixture
def saved(tmp_path):
    network = build_network(parse(CONFIG), seed=7)
    torch.save(network.backbone.state_dict(), tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_the_teacher_is_read_and_never_trained_and_decides_what_is_mixed(saved):
    method = method_by(saved)
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
        for each in (method_by(saved), method_by(None))
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
            method_by(tmp_path / name)


def test_a_teacher_is_built_for_the_size_of_the_images(tmp_path):
    """A transformer has as many embeddings of positions as its images have patches: here 16 x 16, not 8 x 8."""
    config = {**CONFIG, "dataset": "tiny_imagenet", "backbone": "vit_tiny_32"}
    network = build_network(parse(config), seed=7)
    torch.save(network.backbone.state_dict(), tmp_path / "model.pt")
    method = build_method(parse({**config, "mixer.teacher": str(tmp_path / "model.pt")}), seed=0)
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(method.teacher.eval()(images), network.requires_grad_(False).eval()(images))
