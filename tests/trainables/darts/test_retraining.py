"""A genotype is trained on other images than those that it was found on, by PC-DARTS's recipe for ImageNet."""

import json

import pytest
import torch
from PIL import Image
from torch import Generator, nn

from mixlab.spec.complete import complete
from tests.trainables.darts.small import SMALL, coloured, resumed
from trainables import search_architecture
from trainables.darts import retraining
from trainables.darts.found_network import DartsNetwork, flops, parameters
from trainables.darts.genotype import PC_DARTS_CIFAR, PUBLISHED, Genotype
from trainables.darts.retraining import retraining_rate
from trainables.darts.search_config import NEUTRAL, flatten, parse
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


def test_the_neutral_values_are_the_defaults_and_leave_every_key_as_it_was():
    flat = flatten(parse(SMALL))
    assert {key: flat[key] for key in NEUTRAL} == NEUTRAL
    assert not {key for key in complete(train).hashed(flat) if key.startswith(("retrain.", "genotype", "augment.hue"))}


def test_the_key_of_a_trial_follows_the_content_of_the_genotype(tmp_path):
    file, hashed = tmp_path / "genotype.json", []
    for genotype in PUBLISHED.values():
        file.write_text(json.dumps(genotype._asdict()))
        hashed.append(complete(train).hashed(flatten(parse({**SMALL, "genotype_file": str(file)}))))
    assert hashed[0]["genotype_file"] != hashed[1]["genotype_file"]
    assert str(file) not in hashed[0].values()


@pytest.mark.parametrize(
    "keys",
    [
        {"frozen_epochs": 0},
        {"train_images": 9},  # a last batch of one image, without a second head
        {"retrain.dataset": "imagenet", "retrain.image_size": 256, "auxiliary": 0.4, "bad_images": "skip"},
        {"retrain.dataset": "imagenet", "retrain.image_size": 64},  # without a second head
        {"retrain.dataset": "imagenet", "batch_size": 2, "auxiliary": 0.4},  # the map of its last image has 4 pixels
    ],
)
def test_what_can_be_run_is_accepted(keys):
    settings = train.resolve({**SMALL, **keys}).settings
    assert {key: flatten(settings)[key] for key in keys} == keys


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"search_epoch": 3}, "unknown key 'search_epoch'; did you mean 'search_epochs'"),
        ({"frozen_epochs": 2}, "frozen_epochs must lie in 0..1, below search_epochs, got 2"),
        ({"search_channels": 6}, "search_channels must be a multiple of partial, 4, got 6"),
        ({"operations": ("none",)}, "operations must differ from each other, and hold one besides 'none', got"),
        ({"operations": ("skip_connect", "skip_connect")}, "operations must differ from each other"),
        ({"operations": ("sep_conv_9x9",)}, "operations must be 'none', 'max_pool_3x3', .*, got "),
        ({"train_images": 9, "auxiliary": 0.4}, "last batch of 9 training images has 1 image, .* than 4$"),
        ({"batch_size": 1, "auxiliary": 0.4}, "set auxiliary to 0, or another batch_size than 1$"),
        ({"cells": 2}, "cells must be greater than or equal to 3, got 2"),
        ({"dataset": "tiny_imagenet"}, "32 pixels in three channels, got dataset 'tiny_imagenet' at 64 pixels"),
        ({"dataset": "fashion_mnist", "image_size": 32}, "three channels, got dataset 'fashion_mnist' at 32 pixels"),
        ({"image_size": 64, "auxiliary": 0.0}, "32 pixels in three channels, got dataset 'cifar10' at 64 pixels"),
        ({"validation": 0.1}, "validation must be 0 and evaluate 'test', .*, got 0.1 and 'test'$"),
        (
            {"genotype": "pc_darts_cifar10", "retrain.dataset": "cifar100", "evaluate": "validation"},
            "validation must be 0 and evaluate 'test', .*, got 0 and 'validation'$",
        ),
        ({"dataset": "cifr10"}, "unknown dataset 'cifr10'; did you mean 'cifar10'"),
        ({"retrain.dataset": "cifar100", "train_images": 60000}, "^train_images must be at most 50000, the"),
        ({"retrain.dataset": "cifar100", "test_size": 64}, "^test_size is for images that are streamed"),
        ({"retrain.dataset": "imagnet"}, "unknown retrain.dataset 'imagnet'; did you mean 'imagenet'"),
        ({"retrain.dataste": "imagenet"}, "unknown key 'retrain.dataste'; did you mean 'retrain.dataset'"),
        ({"retrain.image_size": 64}, "retrain.image_size needs the key retrain.dataset, got 64 without it"),
        ({"retrain.dataset": "folder"}, r"retrain\.\*: dataset 'folder' needs the key folder"),
        ({"retrain.dataset": "cifar10", "retrain.train_images": 60000}, r"retrain\.\*: train_images must be at most"),
        ({"retrain.dataset": "fashion_mnist", "retrain.image_size": 32}, "three channels .* got .* at 32 pixels"),
        ({"retrain.dataset": "imagenet", "retrain.image_size": 100}, "multiple of 32 pixels, got .* at 100 pixels"),
        ({"retrain.dataset": "imagenet", "retrain.image_size": 64, "auxiliary": 0.4}, "auxiliary must be 0 unless"),
        ({"retrain.warmup_epochs": 2}, "retrain.warmup_epochs must be less than epochs, 2, got 2"),
        ({"retrain.accumulate": 3}, "retrain.accumulate must divide batch_size 4, got 3"),
        ({"genotype": "pc_darts_cifar10", "test_size": 64}, "^test_size is for images that are .* None or 32 with"),
        ({"bad_images": "skip"}, "bad_images .* must be 'refuse' with dataset 'cifar10'"),
        (
            {"retrain.dataset": "cifar100", "retrain.interpolation": "bilinear"},
            r"retrain\.\*: interpolation is for images",
        ),
        ({"retrain.schedule": "steps"}, "retrain.schedule must be 'cosine' or 'linear', got 'steps'"),
        ({"retrain.hue": 0.7}, "retrain.hue must be less than or equal to 0.5, got 0.7"),
        ({"genotype": "darts"}, "genotype must be 'pc_darts_cifar10' or 'pc_darts_imagenet'.*, got 'darts'"),
        (
            {"genotype": "pc_darts_cifar10", "subset.rule": "random", "subset.share": 0.1},
            r"subset\.\* must be left out, got subset.rule 'random'$",
        ),
        ({"genotype": "pc_darts_cifar10", "subset.share": 0.1}, r"subset\.\* must be left out, .* subset.share 0.1$"),
        ({"genotype": "pc_darts_cifar10", "genotype_file": "x.json"}, "got 'pc_darts_cifar10' and 'x.json'$"),
        ({"genotype_file": "nowhere.json"}, "genotype_file 'nowhere.json' cannot be read: No such file"),
    ],
)
def test_what_cannot_be_run_is_refused(keys, sentence):
    with pytest.raises(ValueError, match=sentence):
        train.resolve({**SMALL, **keys})


def changed(place: int, part: int, value: object) -> str:
    """Return PC-DARTS's genotype as a file holds it, with another operation (part 0) or state (part 1) of an edge."""
    cells = json.loads(json.dumps(PC_DARTS_CIFAR._asdict()))
    cells["normal"][place][part] = value
    return json.dumps(cells)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", r"\(Invalid JSON: EOF"),
        ('{"normal": []}', r"must hold the cells normal and reduce, .* \(normal List should have at least 8 items"),
        ("[1, 2]", r"must hold the cells .* \(Input should be an object"),
        (changed(1, 0, "nor_conv_3x3"), r"\(normal 1 0 Input should be 'none', .*'dil_conv_5x5', got 'nor_conv_3x3'\)"),
        (changed(1, 0, "none"), r"edge 1 must be an operation on a state in 0\.\.1, before its node, got 'none' on 0"),
        (changed(5, 1, 4), r"edge 5 must be an operation on a state in 0\.\.3, before its node, got .* on 4"),
        (json.dumps({"normal": PC_DARTS_CIFAR.normal}), r"each of 8 pairs .* \(reduce is missing\)$"),
        (json.dumps({"normal": (*PC_DARTS_CIFAR.normal, ("none", 0))}), r"\(normal List should have at most 8 items"),
    ],
)
def test_a_genotype_of_another_space_is_refused(content, sentence, tmp_path):
    file = tmp_path / "genotype.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=f"genotype_file .*{sentence}"):
        train.resolve({**SMALL, "genotype_file": str(file)})


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
