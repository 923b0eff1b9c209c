"""ImageNet and Tiny-ImageNet, on a few images in their official layouts; each picture identifies its image."""

import numpy as np
import pytest
import scipy.io
import torch

from tests.trainables.datasets.files import pairs, require_refused
from trainables.datasets import DATASETS, imagenet
from trainables.datasets import tiny_imagenet as tiny
from trainables.datasets.decoding import decode
from trainables.datasets.photographs import photographs

WNIDS = ["n01440764", "n01443537", "n02119789"]


@pytest.fixture
def imagenet_root(lay_out):
    train = {f"imagenet/train/{wnid}/{wnid}_{i}.JPEG": None for wnid in WNIDS for i in (7, 12)}
    val = {f"imagenet/val/{wnid}/ILSVRC2012_val_{i:08}.JPEG": None for i, wnid in enumerate(WNIDS, 1)}
    return lay_out({**train, **val})


def load(root, files=imagenet.files, num_test=3):
    return photographs(title="", num_classes=3, num_train=6, num_test=num_test, files=files, remedy="").load(root)


def test_imagenet_numbers_its_classes_by_wnid(imagenet_root):
    train, test = load(imagenet_root)
    assert ("n02119789/n02119789_12.JPEG", 2) in pairs(train)
    assert pairs(test) == {(f"{wnid}/ILSVRC2012_val_{i + 1:08}.JPEG", i) for i, wnid in enumerate(WNIDS)}


def write_devkit(root, truth):
    data = root / imagenet.FOLDER / imagenet.DEVKIT
    data.mkdir(parents=True, exist_ok=True)
    # The official identifiers are in another order than the wnids, and go on with inner nodes of the tree.
    rows = [(1, WNIDS[2]), (2, WNIDS[0]), (3, WNIDS[1]), (4, "n00000001")]
    synsets = np.array(rows, dtype=[("ILSVRC2012_ID", object), ("WNID", object)])
    scipy.io.savemat(data / "meta.mat", {"synsets": synsets.reshape(-1, 1)})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{i}\n" for i in truth))


def flatten(root):
    for path in list((root / "imagenet" / "val").glob("*/*.JPEG")):
        path.rename(root / "imagenet" / "val" / path.name)
        path.parent.rmdir()


def test_imagenet_s_flat_validation_images_get_the_labels_of_the_development_kit(imagenet_root):
    flatten(imagenet_root)
    write_devkit(imagenet_root, [2, 1, 3])
    labels = {1: 0, 2: 2, 3: 1}
    assert pairs(load(imagenet_root).test) == {(f"ILSVRC2012_val_{i:08}.JPEG", label) for i, label in labels.items()}


def test_imagenet_s_flat_images_without_the_kit_or_with_a_label_out_of_range_are_refused(imagenet_root):
    flatten(imagenet_root)
    require_refused(r"meta.mat cannot be read, .*unpack ILSVRC2012_devkit_t12.tar.gz to", load, imagenet_root)
    write_devkit(imagenet_root, [2, 1, 3])
    meta = imagenet_root / imagenet.FOLDER / imagenet.DEVKIT / "meta.mat"
    whole = meta.read_bytes()
    for broken in (b"", whole[:150], whole[: len(whole) // 2], whole[:-8]):
        meta.write_bytes(broken)
        require_refused(r"meta.mat cannot be read", load, imagenet_root)
    write_devkit(imagenet_root, [2, 4, 3])
    require_refused(r"truth.txt gives ILSVRC2012_val_00000002.JPEG the class '4', .* '1' to '3'$", load, imagenet_root)


def test_imagenet_says_what_is_missing_and_what_belongs_where(imagenet_root):
    require_refused(r"val has 3 images instead of 4: the copy is not complete$", load, imagenet_root, imagenet.files, 4)
    unpack = r"^ImageNet is not complete \(.*/train has 3 class folders instead of 1000\); unpack .*train.tar"
    require_refused(unpack, DATASETS["imagenet"].prepare, imagenet_root)
    for path in (imagenet_root / "imagenet/train" / WNIDS[1]).iterdir():
        path.unlink()
    require_refused(rf"^the class folder .*/{WNIDS[1]} has no image$", load, imagenet_root)


@pytest.fixture
def tiny_root(tmp_path, picture):
    top = tmp_path / tiny.FOLDER
    for number, wnid in enumerate(WNIDS):
        for i in range(2):
            picture(top / f"train/{wnid}/images/{wnid}_{i}.JPEG", 2 * number + i, width=64, height=64)
        (top / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t62\t62\n")
    for i in range(3):
        picture(top / "val" / "images" / f"val_{i}.JPEG", 10 + i, width=64, height=64)
    (top / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS[::-1]))
    lines = [f"val_{i}.JPEG\t{WNIDS[(i + 1) % 3]}\t0\t32\t44\t62\n" for i in range(3)]
    (top / "val" / "val_annotations.txt").write_text("".join(lines))
    return tmp_path


def test_tiny_imagenet_is_decoded_with_the_labels_of_its_folders_and_annotations(tiny_root, capsys):
    train, test = load(tiny_root, tiny.files)
    assert capsys.readouterr().err == ""  # of the lists of boxes next to the images
    assert (f"{WNIDS[1]}/images/{WNIDS[1]}_1.JPEG", 1) in pairs(train)
    assert pairs(test) == {(f"val_{i}.JPEG", (i + 1) % 3) for i in range(3)}
    split = tiny.decoded(train)
    assert torch.equal(split.images, torch.stack([decode(train.path(i)) for i in range(6)]))
    assert torch.equal(split.labels, train.labels)


def test_tiny_imagenet_names_what_is_wrong(tiny_root, picture, truncated):
    unpack = r"^Tiny-ImageNet is not complete \(.*\); unpack the official tiny-imagenet-200"
    require_refused(unpack, DATASETS["tiny_imagenet"].prepare, tiny_root)
    require_refused(r"wnids.txt lists 3 classes instead of 200", tiny.files, tiny_root, 200)
    train, _ = load(tiny_root, tiny.files)
    picture(train.path(2), width=60, height=64)
    require_refused(rf"^{train.path(2)} has 60x64 pixels instead of 64x64$", tiny.decoded, train)
    truncated(train.path(2))
    require_refused(rf"^{train.path(2)} is not a whole image", tiny.decoded, train)
    annotations = tiny_root / tiny.FOLDER / "val" / "val_annotations.txt"
    annotations.write_text(annotations.read_text().replace(WNIDS[0], "n99999999"))
    require_refused(r"gives val_2.JPEG the class 'n99999999', which is not one of the 3 ", load, tiny_root, tiny.files)
