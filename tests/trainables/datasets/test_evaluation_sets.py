"""CIFAR-C, ImageNet-A and ImageNet-O on small files in the official layouts."""

import io
from functools import partial

import numpy as np
import pytest
import torch

from tests.trainables.datasets.files import pairs, require_refused
from trainables.datasets import DATASETS, EVALUATION_SETS, imagenet
from trainables.datasets.cifar_c import CORRUPTIONS, EXTRA_CORRUPTIONS, by_severity, load_corrupted
from trainables.datasets.dataset import DataError
from trainables.datasets.imagenet import INSIDE, OUTSIDE, load_imagenet_o, load_subset, subset_classes


def write_cifar_c(root, pixels=None, labels=None):
    folder = root / "CIFAR-100-C"
    folder.mkdir()
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    np.save(folder / "fog.npy", pixels)
    np.save(folder / "labels.npy", np.tile(np.array([99, 3, 7, 0]), 5) if labels is None else labels)
    return pixels


load = partial(load_corrupted, corruption="fog", folder="CIFAR-100-C", images=4)


def test_cifar_c_is_cut_by_severity(tmp_path):
    pixels = write_cifar_c(tmp_path)
    for number, part in enumerate(by_severity(load(tmp_path))):
        assert torch.equal(part.images, torch.from_numpy(pixels[4 * number :][:4]).permute(0, 3, 1, 2))
        assert part.labels.tolist() == [99, 3, 7, 0]
    assert number == 4


@pytest.mark.parametrize(
    ("pixels", "labels", "message"),
    [
        (np.zeros((19, 32, 32, 3), np.uint8), None, r"fog.npy holds uint8 of shape \(19, 32, 32, 3\), not uint8 "),
        (np.zeros((20, 32, 32, 3), np.int64), None, r"fog.npy holds int64 of shape .*, not uint8 of"),
        (None, np.zeros(4, np.int64), r"labels.npy holds int64 of shape \(4,\), not integer of shape \(20,\)$"),
    ],
)
def test_cifar_c_names_what_is_wrong(tmp_path, pixels, labels, message):
    write_cifar_c(tmp_path, pixels, labels)
    require_refused(message, load, tmp_path)


def test_a_missing_or_broken_array_is_named(tmp_path):
    with pytest.raises(DataError, match=r"CIFAR-10-C/gaussian_noise.npy cannot be read \(No such file or directory\)$"):
        EVALUATION_SETS["cifar10_c"].prepare(tmp_path)
    write_cifar_c(tmp_path)
    array = tmp_path / "CIFAR-100-C" / "fog.npy"
    whole, archive = array.read_bytes(), io.BytesIO()
    np.savez(archive, fog=np.zeros(3))
    for broken in (b"", b"\x93NUMPY", whole[:-1], whole.replace(b"}", b" ", 1), archive.getvalue(), b"PK\x03\x04"):
        array.write_bytes(broken)
        require_refused(r"fog.npy is broken \(", load, tmp_path)


def test_there_are_fifteen_corruptions_and_four_more():
    assert (len(set(CORRUPTIONS)), len(set(EXTRA_CORRUPTIONS))) == (15, 4)
    assert EVALUATION_SETS["cifar100_c"].parts == CORRUPTIONS + EXTRA_CORRUPTIONS


@pytest.fixture
def root(tmp_path, picture, monkeypatch):
    """Return a root with six classes of ImageNet, two validation images each; ImageNet-O and ImageNet-A have three."""
    monkeypatch.setattr(imagenet, "SUBSET_CLASSES", 3)
    monkeypatch.setattr(imagenet, "NUM_CLASSES", 6)
    for i in range(6):
        for j in range(2):
            picture(tmp_path / "imagenet" / "val" / f"n{i}" / f"ILSVRC2012_val_{2 * i + j:08}.JPEG", i)
    for i in (5, 0, 2):
        picture(tmp_path / "imagenet-o" / f"n{i}" / "strange.JPEG", i)
        picture(tmp_path / "imagenet-a" / f"n{i}" / "hard.jpg", i)
    (tmp_path / "imagenet-a" / "README.txt").write_text("as in the archive")
    return tmp_path


def test_the_200_classes_are_found_among_the_thousand(root):
    (root / "imagenet" / "val" / ".ipynb_checkpoints").mkdir()
    assert subset_classes(root, "imagenet-o").tolist() == [0, 2, 5]
    adversarial = load_subset(root, "all", folder="imagenet-a", images=3)
    assert pairs(adversarial) == {("n0/hard.jpg", 0), ("n2/hard.jpg", 2), ("n5/hard.jpg", 5)}


def test_imagenet_o_is_set_against_the_validation_images_of_its_classes(root):
    assert len(load_imagenet_o(root, OUTSIDE, images=3)) == 3
    images = {(f"n{i}/ILSVRC2012_val_{2 * i + j:08}.JPEG", i) for i in (0, 2, 5) for j in range(2)}
    assert pairs(load_imagenet_o(root, INSIDE)) == images


def test_what_is_wrong_with_the_subsets_is_named(root, monkeypatch):
    with pytest.raises(DataError, match=r"imagenet-a has 3 images instead of 7500: the copy is not complete$"):
        EVALUATION_SETS["imagenet_a"].prepare(root)
    (root / "imagenet-a" / "n5").rename(root / "imagenet-a" / "n9")
    require_refused(r"imagenet-a/n9 is not one of ImageNet's classes$", subset_classes, root, "imagenet-a")
    with pytest.raises(DataError, match=r"imagenet-o has 3 images instead of 2000: the copy is not complete$"):
        load_imagenet_o(root, OUTSIDE)
    monkeypatch.setattr(imagenet, "NUM_CLASSES", 7)
    with pytest.raises(DataError, match=r"imagenet needs a folder val or train with its 7 class folders, which may be"):
        load_imagenet_o(root, OUTSIDE)


def test_every_set_has_its_own_name_and_is_for_a_data_set_that_exists():
    assert all(name == dataset.name for name, dataset in DATASETS.items())
    assert all(name == evaluation.name for name, evaluation in EVALUATION_SETS.items())
    assert {evaluation.trained_on for evaluation in EVALUATION_SETS.values()} <= DATASETS.keys()
