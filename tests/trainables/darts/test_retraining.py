"""A genotype is trained on other images than those that it was found on, by PC-DARTS's recipe for ImageNet."""

import json

import pytest
import torch
from PIL import Image
from torch import Generator, nn

from tests.trainables.darts.small import SMALL, coloured, resumed
from trainables import search_architecture
from trainables.darts import retraining
from trainables.darts.found_network import DartsNetwork, flops, parameters
from trainables.darts.genotype import PC_DARTS_CIFAR, PUBLISHED, Genotype
from trainables.darts.retraining import retraining_rate
from trainables.darts.search_config import parse
from trainables.darts.search_run import SearchRun
from trainables.datasets.resident import Resident
from trainables.mixers.mixed import alone
from trainables.search_architecture import train
from trainables.seeds import derive_seed

CPU = torch.device("cpu")
FOLDER = {"retrain.dataset": "folder", "retrain.folder": "few", "retrain.num_classes": 3}


def retraining_of(**keys):
    return SearchRun(parse({**SMALL, "genotype": "pc_darts_cifar10", **keys}), 0, None, coloured(), CPU).retraining


@pytest.mark.slow
def test_a_network_found_on_small_images_is_trained_on_large_ones_and_goes_on_after_any_epoch(tmp_path):
    """It goes on from between the two phases, too."""
    settings = parse({**SMALL, **FOLDER, "retrain.image_size": 32, "retrain.accumulate": 2})
    whole = resumed(lambda: SearchRun(settings, 0, coloured(), coloured(6, 3), CPU), tmp_path, 2)
    assert whole.retraining.network.head.out_features == 3
    assert whole.search.supernet.head.out_features == 10
    known = SearchRun(parse({**SMALL, **FOLDER, "genotype": "pc_darts_imagenet"}), 0, None, coloured(6, 3), CPU)
    assert whole.words["data"] == known.words["data"]  # they may be compared


def test_a_last_part_of_one_image_of_a_folder_is_refused_before_the_search():
    """Only the folder says how many images it has."""
    settings = parse({**SMALL, **FOLDER, "retrain.image_size": 32, "retrain.accumulate": 2, "auxiliary": 0.4})
    with pytest.raises(ValueError, match=r"^the last batch of 7 training images has 1 image.* than 4$"):
        SearchRun(settings, 0, coloured(), coloured(7, 3), CPU)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_genotype_is_trained_without_a_search(name, tmp_path):
    settings = parse({**SMALL, **FOLDER, "retrain.image_size": 32, "genotype": name})
    run = resumed(lambda: SearchRun(settings, 0, None, coloured(6, 3), CPU), tmp_path, 1)
    assert "search_seconds" not in run.history[-1].metrics
    assert Genotype.of(json.loads((tmp_path / "genotype.json").read_text())) == PUBLISHED[name]


def test_the_genotype_of_a_file_gives_the_network_of_the_same_genotype_by_its_name(tmp_path):
    file = tmp_path / "genotype.json"
    file.write_text(json.dumps(PC_DARTS_CIFAR._asdict()))
    torch.manual_seed(derive_seed(0, "init-found"))
    drawn = DartsNetwork(PC_DARTS_CIFAR, 4, 3, 10, auxiliary=False)
    for keys in ({}, {"genotype": None, "genotype_file": str(file)}):
        found = retraining_of(**keys).network
        assert str(found) == str(drawn)
        assert all(map(torch.equal, found.state_dict().values(), drawn.state_dict().values()))


@pytest.mark.slow
def test_a_batch_in_parts_steps_once_by_the_mean_of_all(monkeypatch):
    """The parts differ in their batch norms alone: where those do not depend on the batch, so does no number."""
    images, labels = torch.rand(7, 3, 32, 32, dtype=torch.double), torch.arange(7)
    monkeypatch.setattr(Resident, "train_batches", lambda *_: iter([(images, labels)]))
    monkeypatch.setattr(Resident, "test_batches", lambda *_: iter([(images, labels)]))
    monkeypatch.setattr(nn.BatchNorm2d, "train", lambda module, mode=True: nn.Module.train(module, False))
    heads = []
    for parts in (1, 4):
        keys = {"genotype": "pc_darts_imagenet", "batch_size": 8, "retrain.accumulate": parts, "cutout": 0}
        run = SearchRun(parse({**SMALL, **keys, "grad_clip": 1e6}), 0, None, coloured(8), CPU)
        sizes: list[int] = []
        run.retraining.network.register_forward_pre_hook(lambda _, given, sizes=sizes: sizes.append(len(given[0])))
        head = run.retraining.network.double().head.weight
        before = head.detach().clone()
        run.next_epoch()
        assert sizes == ([7, 7] if parts == 1 else [2, 2, 2, 1, 7])  # the last is the test
        assert not torch.equal(head, before)
        heads.append(head.detach().clone())
    torch.testing.assert_close(*heads)


def test_the_loss_is_that_of_both_heads_smoothed():
    phase = retraining_of(**{"auxiliary": 0.4, "retrain.label_smoothing": 0.1, "drop_path": 0.0})
    images, labels = torch.rand(4, 3, 32, 32, generator=Generator().manual_seed(0)), torch.arange(4)
    mean, std = (torch.tensor(of).view(1, 3, 1, 1) for of in (phase.dataset.mean, phase.dataset.std))
    first, second = phase.network((images - mean) / std)
    wanted = [nn.functional.cross_entropy(logits, labels, label_smoothing=0.1) for logits in (first, second)]
    torch.testing.assert_close(phase._loss(images, labels), wanted[0] + 0.4 * wanted[1])
    assert retraining_of().network.auxiliary is None  # without a weight there is no second head


@pytest.mark.parametrize("square", [0, 8])
def test_an_epoch_drops_more_paths_blanks_squares_and_reports_errors(square, monkeypatch):
    phase = retraining_of(**{"cutout": square, "drop_path": 0.2, "epochs": 4, "lr": 0.8, "retrain.weight_decay": 0.03})
    squares, drawn_by, batches = [], [], phase.train_set.train_batches

    def blanked(images, rng, *, length):
        squares.append((length, rng.initial_seed()))
        return alone(torch.zeros_like(images))

    def noted(size, *generators):
        drawn_by.extend(rng.initial_seed() for rng in generators)
        return batches(size, *generators)

    monkeypatch.setattr(retraining, "cutout", blanked)
    monkeypatch.setattr(phase.train_set, "train_batches", noted)
    monkeypatch.setattr(phase, "_loss", lambda images, labels: (phase.network.head.weight * images.mean()).sum())
    monkeypatch.setattr(phase, "test", lambda source: {"top1": 30.0, "top5": 80.0})
    phase.network.eval()  # as the test of the epoch before leaves it
    found = phase.epoch(7, done=2)
    assert phase.network.training
    assert drawn_by == [derive_seed(0, purpose, 7) for purpose in ("data", "augment")]
    assert squares == [(square, derive_seed(0, "mixer", 7))] * 2 * bool(square)
    assert (found.pop("train_loss") == 0) == bool(square)
    assert found == {"test_top1": 30.0, "test_top1_error": 70.0, "test_top5_error": 20.0}
    assert phase.network.drop_path == pytest.approx(0.1)  # after two epochs of four
    (group,) = phase.weights.param_groups
    assert (group["lr"], group["weight_decay"]) == pytest.approx((0.4, 0.03))
    assert phase.sizes() == {"params": parameters(phase.network), "mflops": flops(phase.network, (3, 32, 32)) / 1e6}


@pytest.mark.parametrize("grad_clip", [5.0, 1e6])
def test_an_epoch_of_the_retraining_is_plain_sgd_whose_gradients_are_cut(grad_clip, monkeypatch):
    phase = retraining_of(**{"cutout": 0, "lr": 0.4, "retrain.weight_decay": 0.03, "grad_clip": grad_clip})
    weight, means = phase.network.head.weight, []
    by_hand = nn.Parameter(weight.detach().clone())
    optimiser = torch.optim.SGD([by_hand], 0.4, momentum=0.9, weight_decay=0.03)

    def loss(images, labels):
        means.append(float(images.mean()))  # every number of the gradient
        return means[-1] * weight.sum()

    monkeypatch.setattr(phase, "_loss", loss)
    phase.epoch(1, done=0)
    for mean in means:
        length = mean * weight.numel() ** 0.5
        assert length > 5
        by_hand.grad = torch.full_like(by_hand, mean * min(1.0, grad_clip / length))
        optimiser.step()
    torch.testing.assert_close(weight, by_hand, rtol=1e-5, atol=1e-6)


ROOT = 0.5**0.5


@pytest.mark.parametrize(
    ("shape", "epochs", "warmup", "rates"),
    [
        ("cosine", 4, 0, {0: 1.0, 1: (1 + ROOT) / 2, 2: 0.5, 3: (1 - ROOT) / 2}),
        ("linear", 4, 0, {0: 1.0, 1: 0.75, 2: 0.5, 3: 0.25}),
        ("linear", 5, 0, {0: 1.0, 1: 0.8, 2: 0.6, 3: 0.4, 4: 0.2}),
        # PC-DARTS's own: after the warm-up it falls by as much in each epoch, but in the last five.
        ("linear", 250, 5, {0: 0.2, 3: 0.8, 4: 1.0, 5: 240 / 245, 244: 1 / 245, 245: 1 / 245, 249: 1 / 245 / 5}),
    ],
)
def test_the_rate_falls_to_zero_after_the_last_epoch(shape, epochs, warmup, rates):
    found = {done: retraining_rate(shape, 0.5, done, epochs, warmup) for done in rates}
    assert found == pytest.approx({done: 0.5 * rate for done, rate in rates.items()})


def test_images_that_are_missing_are_named_before_anything_starts_and_bad_ones_may_be_skipped(tmp_path):
    keys = {**SMALL, "genotype": "pc_darts_imagenet", "retrain.dataset": "imagenet", "auxiliary": 0.4}
    images = train.resolve({**keys, "bad_images": "skip", "retrain.jitter": 0.4}).settings.retrained
    assert (images.bad_images, images.augment_options.jitter) == ("skip", 0.4)
    assert "bad_images" in train.prepared  # an arm that refuses them is prepared besides one that skips them
    with pytest.raises(ValueError, match=r"ImageNet is not complete .*unpack ILSVRC2012_img_train.tar"):
        train.prepare(train.resolve(keys).settings, tmp_path)


@pytest.mark.slow
def test_a_folder_of_photographs_is_read_from_its_files(tmp_path, monkeypatch):
    """In ImageNet's layout, a folder a class; the searched data set is not read where the genotype is known."""
    for split in ("train", "val"):
        for label in range(3):
            folder = tmp_path / "few" / split / f"n{label}"
            folder.mkdir(parents=True)
            for number in range(2):
                noise = torch.randint(0, 256, (70, 80, 3), generator=Generator().manual_seed(number), dtype=torch.uint8)
                Image.fromarray(noise.numpy()).save(folder / f"{number}.png")
    keys = {**SMALL, **FOLDER, "genotype": "pc_darts_imagenet", "retrain.image_size": 64, "retrain.augment": "rrc_flip"}
    keys |= {"retrain.jitter": 0.4, "retrain.hue": 0.2, "retrain.label_smoothing": 0.1, "cutout": 0, "epochs": 1}
    settings = train.resolve(keys).settings
    train.prepare(settings, tmp_path)
    last = search_architecture.train(settings, 0, data_root=tmp_path)
    assert last.metrics.keys() >= {"test_top1_error", "test_top5_error", "params", "mflops"}
