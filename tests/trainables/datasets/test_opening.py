"""Keys become sources: image sizes, validation, the images that a search may see, and refusals."""

from dataclasses import replace

import pytest
import torch

from tests.trainables.datasets.files import require_refused
from trainables.classify import train
from trainables.config import parse
from trainables.datasets import DATASETS
from trainables.datasets.dataset import DataError, Split, Splits
from trainables.datasets.decoding import View
from trainables.datasets.opening import dataset_of, images_of, open_dataset, open_evaluation, open_splits
from trainables.datasets.resident import Resident
from trainables.methods.network import build_network
from trainables.seeds import generator

CLASSES = ("daisy", "rose", "tulip")
FOLDER = {
    **{"dataset": "folder", "folder": "flowers", "num_classes": 3, "augment": "rrc_flip", "image_size": 16},
    **{"backbone": "resnet8", "init": "torch_default", "batch_size": 7, "epochs": 2, "mixer": "cutmix"},
}


@pytest.fixture
def root(tmp_path, picture):
    for number in range(21):
        picture(tmp_path / "flowers" / "train" / CLASSES[number % 3] / f"{number}.jpg", number, width=40, height=44)
    for number in range(6):
        picture(tmp_path / "flowers" / "test" / CLASSES[number % 3] / f"{number}.jpg", 100 + number, width=50)
    return tmp_path


def cifar(n=60, size=32):
    """Return splits of random images, ``n`` and 20."""
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (n + 20, 3, size, size), dtype=torch.uint8, generator=rng)
    labels = torch.arange(n + 20) % 10
    return Splits(Split(images[:n], labels[:n]), Split(images[n:], labels[n:]))


def open_cifar(splits=None, **keys):
    return open_splits(parse({"dataset": "cifar10", **keys}), cifar() if splits is None else splits, "cpu")


def first(source):
    return next(source.train_batches(10, generator(0, "data"), generator(0, "augment")))[0]


def test_validation_is_held_out_of_the_training_images_and_never_trained_on():
    opened = open_cifar(validation=0.2)
    held_out = torch.cat([images for images, _ in opened.validation.test_batches(100)])
    trained = torch.cat([images for images, _ in opened.train.test_batches(100)])
    assert (len(trained), len(held_out), len(opened.test)) == (48, 12, 20)
    pixels = {image.numpy().tobytes() for image in trained}
    assert len(pixels) == 48
    assert not pixels & {image.numpy().tobytes() for image in held_out}
    without, few = open_cifar(), open_cifar(validation=10, train_images=40)
    assert (len(without.train), without.validation, len(without.test)) == (60, None, 20)
    assert (len(few.train), len(few.validation)) == (30, 10)
    other_test = cifar()._replace(test=Split(torch.zeros(3, 3, 32, 32, dtype=torch.uint8), torch.zeros(3).long()))
    search = [open_cifar(splits, validation=0.2, evaluate="validation") for splits in (cifar(), other_test)]
    assert [found.test for found in search] == [None, None]  # a search gets none
    assert search[0].fingerprint == search[1].fingerprint
    assert len({opened.fingerprint, without.fingerprint, search[0].fingerprint}) == 3


CIFAR = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), 1  # OpenMixup takes CIFAR-10's for CIFAR-100, too
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DECODED_ONCE = {
    **{"cifar10": CIFAR, "cifar100": CIFAR, "cifar8": CIFAR},
    **{"fashion_mnist": ((0.2860,), (0.3530,), 1), "tiny_imagenet": (*IMAGENET, 1)},
}


def test_images_are_normalised_and_cut_for_the_test_as_in_openmixup():
    """Photographs are tested on the centre of 224 of 256 pixels, small images whole."""
    assert {name for name, dataset in DATASETS.items() if not dataset.streamed} == DECODED_ONCE.keys()
    for name, dataset in DATASETS.items():
        expected = DECODED_ONCE.get(name, (*IMAGENET, 224 / 256))
        assert (dataset.mean, dataset.std, dataset.crop_ratio) == expected, name


def test_cifar100_can_be_normalised_by_its_own_pixels_and_cifar10_always_is():
    """Co-Mixup's code has a mean of (129.3, 124.1, 112.4) and a deviation of (68.2, 65.4, 70.4) of 255."""
    network = build_network(parse({"dataset": "cifar100", "normalisation": "own", "backbone": "resnet8"}))
    pixels = torch.tensor([129.3 + 68.2, 124.1, 112.4 - 2 * 70.4]).view(1, 3, 1, 1) / 255
    assert network.normalise(pixels).flatten().tolist() == pytest.approx([1, 0, -2], abs=1e-5)
    own, usual = (dataset_of(parse({"dataset": "cifar10", "normalisation": of})) for of in ("own", "openmixup"))
    assert own == usual


def test_small_images_are_brought_to_the_size_that_the_network_sees():
    opened = open_cifar(image_size=48, augment="rrc_flip", **{"augment.scale": 0.8})
    assert isinstance(opened.train, Resident)
    images, _ = next(opened.test.test_batches(10))
    assert first(opened.train).shape == images.shape == (10, 3, 48, 48)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert dataset_of(parse({"dataset": "cifar10", "image_size": 48})).image_shape == (3, 48, 48)
    images, _ = next(open_cifar(augment="rrc_flip").test.test_batches(20))
    assert torch.equal(images, cifar().test.images / 255)  # at their own size they are untouched


def test_streamed_sizes_follow_the_keys(root):
    def sizes(**keys):
        opened = open_dataset(parse({**FOLDER, **keys}), root, "cpu", workers=0)
        test = next(opened.test.test_batches(4))[0]
        return first(opened.train).shape[2:], test.shape[2:], opened.test.test_view.resize

    assert sizes() == ((16, 16), (16, 16), 18)  # the crop is 0.875 of what it is cut from
    assert sizes(test_size=40, resize=42) == ((16, 16), (40, 40), 42)
    assert sizes(augment="crop_flip") == ((16, 16), (16, 16), 18)


def test_the_views_of_files_follow_the_keys(root):
    def views(**keys):
        opened = open_dataset(parse({**FOLDER, **keys}), root, "cpu").train
        return opened.train_view, opened.test_view

    train_view, test_view = views(**{"interpolation": "bilinear", "augment.scale": 0.3, "augment.resize": 36})
    assert train_view == View(size=16, resize=36, scale=0.3, interpolation="bilinear", mirror=True)
    assert test_view == View(size=16, resize=18, interpolation="bilinear")
    for augment, mirror in (("flip", True), ("crop_flip", False), ("none", False)):
        for of_tests in ({}, {"test_size": 24, "resize": 40}):
            assert views(augment=augment, **of_tests)[0] == View(size=16, resize=18, mirror=mirror)


@pytest.mark.parametrize(
    ("key", "value"),
    [("randaugment", "increasing"), ("jitter", 0.4), ("hue", 0.2), ("lighting", 1.0), ("erasing", 1.0)],
)
def test_each_further_augmentation_changes_training_images_alone(root, key, value):
    both = ({}, {f"augment.{key}": value})
    for plain, changed in (
        [open_cifar(augment="rrc_flip", **keys) for keys in both],
        [open_dataset(parse({**FOLDER, **keys}), root, "cpu", workers=0) for keys in both],
    ):
        assert (first(plain.train) != first(changed.train)).flatten(1).any(dim=1).float().mean() > 0.2
        for (images, _), (others, _) in zip(plain.test.test_batches(5), changed.test.test_batches(5), strict=True):
            assert torch.equal(images, others)


def test_a_wrong_number_of_classes_is_refused_before_training(root):
    with pytest.raises(DataError, match=rf"^{root}/flowers has 3 classes, but num_classes is 4$"):
        train.prepare(parse({**FOLDER, "num_classes": 4}), root)
    train.prepare(parse(FOLDER), root)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"train_images": 22}, r"^train_images must be at most 21, the size of flowers, got 22$"),
        ({"test_images": 7}, r"^test_images must be at most 6, the size of flowers, got 7$"),
        ({"validation": 21.0}, r"^validation must leave some of the 21 training images, got 21$"),
    ],
)
def test_more_images_than_a_folder_has_are_refused_before_training(keys, message, root):
    with pytest.raises(ValueError, match=message):
        train.prepare(parse({**FOLDER, **keys}), root)
    assert keys.keys() <= set(train.prepared)


@pytest.mark.slow
def test_a_run_that_tests_on_held_out_images_needs_no_test_split(root):
    (root / "flowers" / "test").rename(root / "flowers" / "tests")
    sentence = r"^flowers has no test, val or validation images: add them, or set v"
    require_refused(sentence, train.prepare, parse(FOLDER), root)
    held_out = {**FOLDER, "epochs": 1, "validation": 6, "evaluate": "validation"}
    train.prepare(parse(held_out), root)
    assert 0 <= train(held_out, 0, data_root=root, workers=0).metrics["val_top1"] <= 100


def test_files_of_which_none_can_be_read_are_named_before_training(root, monkeypatch):
    official = replace(DATASETS["folder"], in_folder=False, load=lambda root: DATASETS["folder"].load(root / "flowers"))
    monkeypatch.setitem(DATASETS.data, "cub200", replace(official, num_classes=3, prepare=official.load))
    for path in (root / "flowers" / "train").rglob("*.jpg"):
        path.write_text("version https://git-lfs.github.com/spec/v1")
    for run in FOLDER, {**FOLDER, "dataset": "cub200", "folder": None, "num_classes": None}:
        require_refused(r"^.*/train/.*\.jpg is not a whole image", train.prepare, parse(run), root)
        train.prepare(parse({**run, "bad_images": "skip"}), root)
    assert {"evaluate", "bad_images"} <= set(train.prepared)


def test_a_subset_that_is_too_small_for_the_validation_split_is_refused_before_training(tmp_path, monkeypatch):
    prepared = []
    there = replace(DATASETS["cifar10"], prepare=prepared.append, load=lambda root: cifar())
    monkeypatch.setitem(DATASETS.data, "cifar10", there)
    run = {"dataset": "cifar10", "backbone": "resnet8", "subset.rule": "random", "validation": 20}
    train.prepare(parse({**run, "subset.share": 0.5}), tmp_path)  # 3 of the 6 images of each class
    assert prepared == [tmp_path]
    with pytest.raises(ValueError, match=r"^validation must leave some of the 20 training images, got 20$"):
        train.prepare(parse({**run, "subset.share": 1 / 3}), tmp_path)
    assert "subset.share" in train.prepared


@pytest.mark.parametrize("form", [lambda x: x / 255, lambda x: x.permute(0, 2, 3, 1), lambda x: x[:, 0]])
def test_images_in_another_form_are_refused(form):
    """Numbers from 0 to 1 were divided by 255 again, and the network saw black."""
    train, test = cifar()
    sentence = r"^cifar10 must have images \(N, 3, H, W\) uint8 and labels \(N,\) int64, got \('torch\."
    require_refused(sentence, open_cifar, Splits(train._replace(images=form(train.images)), test))
    require_refused(sentence, open_cifar, Splits(train, test._replace(labels=test.labels.float())))


@pytest.mark.parametrize("mean", [(0.5,), (125.0, 123.0, 114.0)])
def test_a_mean_that_does_not_fit_the_channels_is_refused(mean):
    with pytest.raises(ValueError, match=r"^mean and std of cifar10 must have one number for each channel, 3 in all"):
        replace(DATASETS["cifar10"], mean=mean)


def test_labels_out_of_range_are_refused():
    wrong = cifar()
    wrong.train.labels[5] = 10
    require_refused(r"^cifar10 has the label 10, but labels lie in 0\.\.9$", open_cifar, wrong)


def test_a_part_of_a_folder_may_lack_classes_and_labels_out_of_range_name_the_folder(root):
    """The memory of a run is measured on as many images as a batch has."""
    config, (train_files, test_files) = parse(FOLDER), images_of(parse(FOLDER), root)
    few = Splits(train_files.take(slice(1)), test_files.take(slice(1)))
    assert len(open_splits(config, few, "cpu", workers=0).train) == 1
    without_labels = Splits(train_files, replace(test_files, labels=-torch.ones_like(test_files.labels)))
    with pytest.raises(DataError, match=rf"^{root}/flowers/test has the label -1, but labels lie in 0\.\.2$"):
        open_splits(config, without_labels, "cpu")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_split_of_bad_images_only_is_refused(part, root, truncated):
    for path in (root / "flowers" / part).rglob("*.jpg"):
        truncated(path)
    with pytest.raises(DataError, match=rf"^no image in {root}/flowers/{part} can be decoded$"):
        train({**FOLDER, "epochs": 1, "bad_images": "skip"}, 0, data_root=root, workers=0)


def test_a_set_to_evaluate_on_is_for_its_own_classifiers(root):
    with pytest.raises(ValueError, match=r"^cifar100_c is for classifiers of cifar100, got one of cifar10$"):
        open_evaluation("cifar100_c", "fog", parse({"dataset": "cifar10"}), root, "cpu")


def test_the_files_of_a_folder_are_listed_once(root):
    images = images_of(parse(FOLDER), root)
    assert images.train.labels.bincount().tolist() == [7, 7, 7]
    assert images_of(parse(FOLDER), root / "below" / "..") is images
