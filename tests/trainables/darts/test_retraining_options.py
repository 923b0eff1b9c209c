"""Which options and genotypes the training of a found network takes, and what they do to the key of a trial."""

import json

import pytest

from mixlab.spec.complete import complete
from tests.trainables.darts.small import SMALL
from trainables.darts.genotype import PC_DARTS_CIFAR, PUBLISHED
from trainables.darts.search_config import NEUTRAL, flatten, parse
from trainables.search_architecture import train

FOLDER = {"retrain.dataset": "folder", "retrain.folder": "few", "retrain.num_classes": 3}


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
