"""Every data set of image files, on a few images in its official layout; each picture identifies its image."""

import json

import numpy as np
import pytest
import scipy.io

from trainables.datasets import (
    DATASETS,
    aircraft,
    cub200,
    download,
    folder,
    imagenet,
    inaturalist,
    places205,
    places365,
)
from trainables.datasets import tiny_imagenet as tiny
from trainables.datasets.dataset import DataError
from trainables.datasets.decoding import decode
from trainables.datasets.photographs import load_whole


def pairs(files):
    return {(files.name(i), int(files.labels[i])) for i in range(len(files))}


@pytest.fixture
def write(tmp_path, picture):
    """Return a function that writes text files, or pictures where the content is ``None``, under the data root."""

    def files(contents):
        for path, content in contents.items():
            if content is None:
                picture(tmp_path / path)
            else:
                (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / path).write_text(content)
        return tmp_path

    return files


# --- ImageNet

WNIDS = ["n01440764", "n01443537", "n02119789"]


@pytest.fixture
def imagenet_root(write):
    train = {f"imagenet/train/{wnid}/{wnid}_{i}.JPEG": None for wnid in WNIDS for i in (7, 12)}
    val = {f"imagenet/val/{wnid}/ILSVRC2012_val_{i:08}.JPEG": None for i, wnid in enumerate(WNIDS, 1)}
    return write({**train, **val})


def load_imagenet(root, **counts):
    return load_whole(root, files=imagenet.files, **{"num_classes": 3, "num_train": 6, "num_test": 3, **counts})


def test_imagenet_numbers_its_classes_by_wnid(imagenet_root):
    train, test = load_imagenet(imagenet_root)
    assert ("n02119789/n02119789_12.JPEG", 2) in pairs(train)
    assert pairs(test) == {(f"{wnid}/ILSVRC2012_val_{i + 1:08}.JPEG", i) for i, wnid in enumerate(WNIDS)}


def write_devkit(root, truth):
    data = root / imagenet.FOLDER / imagenet.DEVKIT
    data.mkdir(parents=True)
    # The official identifiers are in another order than the wnids, and go on with inner nodes of the tree.
    synsets = np.array(
        [(1, WNIDS[2]), (2, WNIDS[0]), (3, WNIDS[1]), (4, "n00000001")],
        dtype=[("ILSVRC2012_ID", object), ("WNID", object)],
    )
    scipy.io.savemat(data / "meta.mat", {"synsets": synsets.reshape(-1, 1)})
    (data / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{i}\n" for i in truth))


def flatten(root):
    for path in list((root / "imagenet" / "val").glob("*/*.JPEG")):
        path.rename(root / "imagenet" / "val" / path.name)
        path.parent.rmdir()


def test_imagenet_s_flat_validation_images_get_the_labels_of_the_development_kit(imagenet_root):
    flatten(imagenet_root)
    write_devkit(imagenet_root, [2, 1, 3])
    _, test = load_imagenet(imagenet_root)
    assert pairs(test) == {(f"ILSVRC2012_val_{i:08}.JPEG", label) for i, label in ((1, 0), (2, 2), (3, 1))}


def test_imagenet_s_flat_images_without_the_kit_or_with_a_label_out_of_range_are_refused(imagenet_root):
    flatten(imagenet_root)
    with pytest.raises(DataError, match=r"meta.mat cannot be read, .*unpack ILSVRC2012_devkit_t12.tar.gz to"):
        load_imagenet(imagenet_root)
    write_devkit(imagenet_root, [2, 4, 3])
    with pytest.raises(DataError, match=r"ground_truth.txt has a label out of range, 4 in line 2$"):
        load_imagenet(imagenet_root)


def test_imagenet_says_what_is_missing_and_what_belongs_where(imagenet_root):
    with pytest.raises(DataError, match=r"val has 3 images instead of 4: the copy is not complete$"):
        load_imagenet(imagenet_root, num_test=4)
    with pytest.raises(
        DataError,
        match=r"^ImageNet is not complete \(.*/train has 3 class folders instead of 1000\); unpack .*train.tar",
    ):
        DATASETS["imagenet"].prepare(imagenet_root)
    for path in (imagenet_root / "imagenet/train" / WNIDS[1]).iterdir():
        path.unlink()
    with pytest.raises(DataError, match=rf"^the class folder .*/{WNIDS[1]} has no image$"):
        load_imagenet(imagenet_root)


# --- Tiny-ImageNet


@pytest.fixture
def tiny_root(tmp_path, picture):
    top = tmp_path / tiny.FOLDER
    number = 0
    for wnid in WNIDS:
        for i in range(2):
            number += 1
            picture(top / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", number, width=64, height=64)
        (top / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t62\t62\n")
    for i in range(3):
        picture(top / "val" / "images" / f"val_{i}.JPEG", 10 + i, width=64, height=64)
    (top / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in WNIDS[::-1]))
    lines = [f"val_{i}.JPEG\t{WNIDS[(i + 1) % 3]}\t0\t32\t44\t62\n" for i in range(3)]
    (top / "val" / "val_annotations.txt").write_text("".join(lines))
    return tmp_path


def tiny_files(root, **counts):
    return tiny.files(root, **{"num_classes": 3, "num_train": 6, "num_test": 3, **counts})


def test_tiny_imagenet_is_decoded_with_the_labels_of_its_folders_and_annotations(tiny_root):
    train, test = tiny_files(tiny_root)
    assert (f"{WNIDS[1]}/images/{WNIDS[1]}_1.JPEG", 1) in pairs(train)
    assert pairs(test) == {(f"val_{i}.JPEG", (i + 1) % 3) for i in range(3)}
    split = tiny.decoded(train)
    assert split.images.shape == (6, 3, 64, 64)
    assert split.labels.tolist() == train.labels.tolist()
    assert all((split.images[i] == decode(train.path(i))).all() for i in range(6))


def test_tiny_imagenet_names_what_is_wrong(tiny_root, picture, truncated):
    with pytest.raises(DataError, match=r"wnids.txt lists 3 classes instead of 200"):
        tiny.files(tiny_root)
    with pytest.raises(
        DataError, match=r"^Tiny-ImageNet is not complete \(.*\); unpack the official tiny-imagenet-200"
    ):
        DATASETS["tiny_imagenet"].prepare(tiny_root)
    train, _ = tiny_files(tiny_root)
    picture(train.path(2), width=60, height=64)
    with pytest.raises(DataError, match=rf"^{train.path(2)} has 60x64 pixels instead of 64$".replace("64$", "64x64$")):
        tiny.decoded(train)
    truncated(train.path(2))
    with pytest.raises(DataError, match=rf"^{train.path(2)} is not a whole image"):
        tiny.decoded(train)
    annotations = tiny_root / tiny.FOLDER / "val" / "val_annotations.txt"
    annotations.write_text(annotations.read_text().replace(WNIDS[0], "n99999999"))
    with pytest.raises(DataError, match=r"gives val_2.JPEG the class 'n99999999', which is not in wnids.txt$"):
        tiny_files(tiny_root)


# --- CUB-200-2011

CUB = {
    "CUB_200_2011/images.txt": "1 001.Albatross/a.jpg\n2 001.Albatross/b.jpg\n3 002.Auklet/c.jpg\n4 002.Auklet/d.jpg\n",
    "CUB_200_2011/image_class_labels.txt": "1 1\n2 1\n3 2\n4 2\n",
    "CUB_200_2011/train_test_split.txt": "1 0\n2 1\n3 1\n4 0\n",
    **{f"CUB_200_2011/images/{name}.jpg": None for name in ("001.Albatross/a", "001.Albatross/b")},
    **{f"CUB_200_2011/images/{name}.jpg": None for name in ("002.Auklet/c", "002.Auklet/d")},
}


def load_cub(root):
    return load_whole(root, files=cub200.files, num_classes=2, num_train=2, num_test=2)


def test_cub_splits_by_its_lists(write):
    train, test = load_cub(write(CUB))
    assert pairs(train) == {("001.Albatross/b.jpg", 0), ("002.Auklet/c.jpg", 1)}
    assert pairs(test) == {("001.Albatross/a.jpg", 0), ("002.Auklet/d.jpg", 1)}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("image_class_labels.txt", "1 1\n2 1\n3 3\n4 2\n", r"labels.txt has a label out of range, 3 for image 3$"),
        ("image_class_labels.txt", "1 1\n2 1\n3 2\n", r"labels.txt has no line for image 4, 002.Auklet/d.jpg$"),
        (
            "train_test_split.txt",
            "1 0\n2 1\n3 1\n4 2\n",
            r"must say 1 \(training\) or 0 \(test\), got '2' for image 4$",
        ),
        ("train_test_split.txt", "1 0\n2 1\n3 1\n4 1\n", r"images has 3 images instead of 2"),
        (
            "images.txt",
            "1 001.Albatross/z.jpg\n2 001.Albatross/b.jpg\n3 002.Auklet/c.jpg\n4 002.Auklet/d.jpg\n",
            r"z.jpg is missing$",
        ),
    ],
)
def test_cub_names_what_is_wrong(write, file, content, message):
    root = write({**CUB, f"CUB_200_2011/{file}": content})
    with pytest.raises(DataError, match=message):
        load_cub(root)
    with pytest.raises(
        DataError, match=r"^CUB-200-2011 is not complete \(.*\); unpack the official CUB_200_2011.tgz to "
    ):
        DATASETS["cub200"].prepare(root)


# --- FGVC-Aircraft

DATA = "fgvc-aircraft-2013b/data"
AIRCRAFT = {
    f"{DATA}/variants.txt": "Boeing 737-700\nA310\n",
    f"{DATA}/images_variant_trainval.txt": "0056978 A310\n1025794 Boeing 737-700\n",
    f"{DATA}/images_variant_test.txt": "1514522 Boeing 737-700\n",
    **{f"{DATA}/images/{image}.jpg": None for image in ("0056978", "1025794", "1514522")},
}


def load_aircraft(root):
    return aircraft.files(root, 2)


def test_aircraft_reads_variants_with_spaces(write):
    train, test = load_aircraft(write(AIRCRAFT))
    assert pairs(train) == {("0056978.jpg", 1), ("1025794.jpg", 0)}
    assert pairs(test) == {("1514522.jpg", 0)}


def test_aircraft_names_what_is_wrong(write):
    root = write(AIRCRAFT)
    with pytest.raises(
        DataError, match=r"^FGVC-Aircraft is not complete \(.*lists 2 variants instead of 100\); unpack "
    ):
        DATASETS["aircraft"].prepare(root)
    (root / DATA / "images_variant_test.txt").write_text("1514522 A320\n")
    with pytest.raises(DataError, match=r"gives image 1514522 the variant 'A320', which is not in variants.txt$"):
        load_aircraft(root)
    (root / DATA / "images_variant_test.txt").write_text("1514523 A310\n")
    with pytest.raises(DataError, match=r"images/1514523.jpg is missing$"):
        load_aircraft(root)


def test_aircraft_is_fetched_where_it_is_not_there(tmp_path, asked):
    with pytest.raises(DataError, match=r"^FGVCAircraft could not be had \(no route .*\); unpack the official fgvc"):
        DATASETS["aircraft"].prepare(tmp_path)
    assert asked == ["www.robots.ox.ac.uk"]
    assert not (tmp_path / "fgvc-aircraft-2013b").exists()


# --- iNaturalist


def inat(images, annotations):
    return json.dumps(
        {
            "images": [{"id": i, "file_name": name} for i, name in images.items()],
            "annotations": [{"id": i, "image_id": i, "category_id": c} for i, c in annotations.items()],
            "categories": [{"id": i, "name": f"species {i}"} for i in (2, 0, 1)],
        }
    )


INAT = {
    "inat2018/train2018.json": inat(
        {10: "train_val2018/Aves/2/a.jpg", 11: "train_val2018/Fungi/0/b.jpg"}, {11: 0, 10: 2}
    ),
    "inat2018/val2018.json": inat({12: "train_val2018/Aves/1/c.jpg"}, {12: 1}),
    **{f"inat2018/train_val2018/{name}.jpg": None for name in ("Aves/2/a", "Fungi/0/b", "Aves/1/c")},
}


def test_inaturalist_joins_images_with_annotations(write):
    train, test = inaturalist.files(write(INAT), 3, year=2018)
    assert pairs(train) == {("train_val2018/Aves/2/a.jpg", 2), ("train_val2018/Fungi/0/b.jpg", 0)}
    assert pairs(test) == {("train_val2018/Aves/1/c.jpg", 1)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            inat({12: "train_val2018/Aves/1/c.jpg"}, {12: 3}),
            r"has a label out of range, category 3 for train_val2018/Av",
        ),
        (inat({12: "train_val2018/Aves/1/c.jpg"}, {13: 1}), r"annotates image 13, which it does not list$"),
        (inat({12: "train_val2018/Aves/1/d.jpg"}, {12: 1}), r"train_val2018/Aves/1/d.jpg is missing$"),
        ('{"images": []}', r"val2018.json is broken \(KeyError: 'categories'\)$"),
        ('{"images": [', r"val2018.json is broken \(JSONDecodeError: .*\)$"),
    ],
)
def test_inaturalist_names_what_is_wrong(write, content, message):
    root = write({**INAT, "inat2018/val2018.json": content})
    with pytest.raises(DataError, match=message):
        inaturalist.files(root, 3, year=2018)


def test_both_editions_say_what_belongs_where(tmp_path):
    for year, images in ((2017, "train_val_images"), (2018, "train_val2018")):
        message = rf"^iNaturalist {year} is not complete \(.*train{year}.json cannot be read .*\); put .*{images}/ in "
        with pytest.raises(DataError, match=message):
            DATASETS[f"inat{year}"].prepare(tmp_path)


# --- Places365

PLACES = {
    "places365/categories_places365.txt": "/a/airfield 0\n/z/zen_garden 1\n",
    "places365/places365_train_standard.txt": "/a/airfield/00000001.jpg 0\n/z/zen_garden/00000002.jpg 1\n",
    "places365/places365_val.txt": "Places365_val_00000001.jpg 1\n",
    "places365/data_256_standard/a/airfield/00000001.jpg": None,
    "places365/data_256_standard/z/zen_garden/00000002.jpg": None,
    "places365/val_256/Places365_val_00000001.jpg": None,
}


def load_places(root):
    return places365.files(root, 2)


def test_places_reads_the_official_lists(write):
    train, test = load_places(write(PLACES))
    assert pairs(train) == {("a/airfield/00000001.jpg", 0), ("z/zen_garden/00000002.jpg", 1)}
    assert pairs(test) == {("Places365_val_00000001.jpg", 1)}


def test_places_reads_class_folders(write):
    root = write({f"places365/{name}.jpg": None for name in ("train/airfield/1", "train/zoo/2", "val/zoo/3")})
    with pytest.raises(DataError, match=r"^the folder .*/val/airfield is missing$"):
        load_places(root)
    write({"places365/val/airfield/4.jpg": None})
    train, test = load_places(root)
    assert pairs(train) == {("airfield/1.jpg", 0), ("zoo/2.jpg", 1)}
    assert pairs(test) == {("airfield/4.jpg", 0), ("zoo/3.jpg", 1)}


def test_places_names_what_is_wrong(write):
    root = write({**PLACES, "places365/places365_val.txt": "Places365_val_00000001.jpg 2\n"})
    with pytest.raises(DataError, match=r"_val.txt has a label out of range, 2 for Places365_val_00000001.jpg$"):
        load_places(root)


def test_places_is_downloaded_whole_or_not_at_all(tmp_path, write, monkeypatch):
    with pytest.raises(
        DataError, match=r"^Places365 could not be had \(no route.*\); unpack the official places365stand"
    ):
        DATASETS["places365"].prepare(tmp_path)
    asked = []

    def leave(what, scratch, **options):
        asked.append((what, options["split"], options["small"]))
        for path, content in PLACES.items():
            target = scratch / path.removeprefix("places365/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content or "image")

    monkeypatch.setattr(download, "fetch_file", lambda url, file, is_right: file.touch())
    monkeypatch.setattr(download, "unpack_by_torchvision", leave)
    with pytest.raises(DataError, match=r"^Places365 is not complete \(.* has 2 images instead of 1803460"):
        DATASETS["places365"].prepare(tmp_path)
    assert asked == [("Places365", "train-standard", True), ("Places365", "val", True)]
    assert len(load_places(tmp_path)[0]) == 2


def test_places205_reads_the_official_lists(write):
    root = write(
        {
            f"{places205.LISTS}/train_places205.csv": "a/abbey/gsun_1.jpg 0\ny/yard/gsun_2.jpg 1\n",
            f"{places205.LISTS}/val_places205.csv": "y/yard/gsun_3.jpg 1\n",
            **{f"{places205.IMAGES}/{name}.jpg": None for name in ("a/abbey/gsun_1", "y/yard/gsun_2", "y/yard/gsun_3")},
        }
    )
    train, test = places205.files(root, 2)
    assert pairs(train) == {("a/abbey/gsun_1.jpg", 0), ("y/yard/gsun_2.jpg", 1)}
    assert pairs(test) == {("y/yard/gsun_3.jpg", 1)}
    with pytest.raises(DataError, match=r"train_places205.csv has a label out of range, 1 for y/yard/gsun_2.jpg$"):
        places205.files(root, 1)
    with pytest.raises(DataError, match=r"^Places205 is not complete \(.* has 2 images instead of 2448873.*; unpack"):
        DATASETS["places205"].prepare(root)


# --- any folder


def test_a_folder_has_the_classes_of_its_training_folders(write):
    root = write(
        {f"flowers/{name}.png": None for name in ("train/tulip/1", "train/daisy/2", "val/tulip/3", "val/daisy/4")}
    )
    train, test = folder.load(root / "flowers")
    assert pairs(train) == {("daisy/2.png", 0), ("tulip/1.png", 1)}
    assert pairs(test) == {("daisy/4.png", 0), ("tulip/3.png", 1)}
    write({"flowers/test/tulip/5.png": None, "flowers/test/rose/6.png": None})
    with pytest.raises(DataError, match=r"flowers/test/rose is none of the 2 classes$"):
        folder.load(root / "flowers")  # a test folder comes before a validation folder


def test_a_folder_that_is_not_there_or_lacks_a_split_is_named(tmp_path, write):
    with pytest.raises(DataError, match=r"^the folder .*/flowers is missing; it should have train/ and test/"):
        DATASETS["folder"].prepare(tmp_path / "flowers")
    write({"flowers/train/a/1.jpg": None})
    with pytest.raises(DataError, match=r"flowers has neither a folder test nor a folder val or validation$"):
        DATASETS["folder"].prepare(tmp_path / "flowers")


def test_every_data_set_has_its_own_name():
    assert all(name == dataset.name for name, dataset in DATASETS.items())
