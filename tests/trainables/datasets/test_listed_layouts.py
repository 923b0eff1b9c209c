"""The data sets whose images are listed, on a few images in their official layouts."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.trainables.datasets.files import pairs, require_refused, tar
from trainables.datasets import DATASETS, aircraft, cub200, download, inaturalist, places
from trainables.datasets.dataset import DataError
from trainables.datasets.photographs import photographs


class Layout(NamedTuple):
    """The files of a small data set, how it is read, and what is found: names and labels."""

    content: Mapping[str, str | None]  # text, or None for a picture
    read: Callable[[Path], tuple[Any, Any]]
    train: set[tuple[str, int]]
    test: set[tuple[str, int]]


def pictures(folder: str, *names: str) -> dict[str, None]:
    return {f"{folder}/{name}.jpg": None for name in names}


def annotated(images: Mapping[int, str], categories: Mapping[int, int]) -> str:
    """Return a list of iNaturalist: images by number, and their categories by the same numbers."""
    return json.dumps(
        {
            "images": [{"id": i, "file_name": f"train_val2018/{name}.jpg"} for i, name in images.items()],
            "annotations": [{"id": i, "image_id": i, "category_id": c} for i, c in categories.items()],
            "categories": [{"id": i, "name": f"species {i}"} for i in (2, 0, 1)],
        }
    )


CUB, DATA, INAT, PLACES = "CUB_200_2011", "fgvc-aircraft-2013b/data", "inat2018", "places365"
LAYOUTS = {
    "cub200": Layout(
        {
            f"{CUB}/images.txt": "1 001.Auk/a.jpg\n2 001.Auk/b.jpg\n3 002.Jay/c.jpg\n4 002.Jay/d.jpg\n",
            f"{CUB}/image_class_labels.txt": "1 1\n2 1\n3 2\n4 2\n",
            f"{CUB}/train_test_split.txt": "1 0\n2 1\n3 1\n4 0\n",
            **pictures(f"{CUB}/images", "001.Auk/a", "001.Auk/b", "002.Jay/c", "002.Jay/d"),
        },
        photographs(title="", num_classes=2, num_train=2, num_test=2, files=cub200.files, remedy="").load,
        {("001.Auk/b.jpg", 0), ("002.Jay/c.jpg", 1)},
        {("001.Auk/a.jpg", 0), ("002.Jay/d.jpg", 1)},
    ),
    "aircraft": Layout(
        {
            f"{DATA}/variants.txt": "Boeing 737-700\nA310\n",
            f"{DATA}/images_variant_trainval.txt": "0056978 A310\n1025794 Boeing 737-700\n",
            f"{DATA}/images_variant_test.txt": "1514522 Boeing 737-700\n",
            **pictures(f"{DATA}/images", "0056978", "1025794", "1514522"),
        },
        partial(aircraft.files, num_classes=2),
        {("0056978.jpg", 1), ("1025794.jpg", 0)},
        {("1514522.jpg", 0)},
    ),
    "inat2018": Layout(
        {
            f"{INAT}/train2018.json": annotated({10: "Aves/2/a", 11: "Fungi/0/b"}, {11: 0, 10: 2}),
            f"{INAT}/val2018.json": annotated({12: "Aves/1/c"}, {12: 1}),
            **pictures(f"{INAT}/train_val2018", "Aves/2/a", "Fungi/0/b", "Aves/1/c"),
        },
        partial(inaturalist.files, num_classes=3, year=2018),
        {("train_val2018/Aves/2/a.jpg", 2), ("train_val2018/Fungi/0/b.jpg", 0)},
        {("train_val2018/Aves/1/c.jpg", 1)},
    ),
    "places365": Layout(
        {
            f"{PLACES}/categories_places365.txt": "/a/airfield 0\n/z/zen_garden 1\n",
            f"{PLACES}/places365_train_standard.txt": "/a/airfield/00000001.jpg 0\n/z/zen_garden/00000002.jpg 1\n",
            f"{PLACES}/places365_val.txt": "Places365_val_00000001.jpg 1\n",
            **pictures(f"{PLACES}/data_256_standard", "a/airfield/00000001", "z/zen_garden/00000002"),
            **pictures(f"{PLACES}/val_256", "Places365_val_00000001"),
        },
        partial(places.files_365, num_classes=2),
        {("a/airfield/00000001.jpg", 0), ("z/zen_garden/00000002.jpg", 1)},
        {("Places365_val_00000001.jpg", 1)},
    ),
    "places365 in class folders": Layout(
        pictures(PLACES, "train/airfield/1", "train/zoo/2", "val/zoo/3", "val/airfield/4"),
        partial(places.files_365, num_classes=2),
        {("airfield/1.jpg", 0), ("zoo/2.jpg", 1)},
        {("airfield/4.jpg", 0), ("zoo/3.jpg", 1)},
    ),
    "places205": Layout(
        {
            f"{places.LISTS_205}/train_places205.csv": "a/abbey/gsun_1.jpg 0\ny/yard/gsun_2.jpg 1\n",
            f"{places.LISTS_205}/val_places205.csv": "y/yard/gsun_3.jpg 1\n",
            **pictures(places.IMAGES_205, "a/abbey/gsun_1", "y/yard/gsun_2", "y/yard/gsun_3"),
        },
        partial(places.files_205, num_classes=2),
        {("a/abbey/gsun_1.jpg", 0), ("y/yard/gsun_2.jpg", 1)},
        {("y/yard/gsun_3.jpg", 1)},
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_images_have_their_official_splits_and_labels(name, lay_out):
    layout = LAYOUTS[name]
    train, test = layout.read(lay_out(layout.content))
    assert pairs(train) == layout.train
    assert pairs(test) == layout.test


@pytest.mark.parametrize(
    ("name", "file", "right", "wrong", "message"),
    [
        ("cub200", "labels.txt", "3 2", "3 3", r"labels.txt gives 002.Jay/c.jpg the class '3', .*classes, '1' to '2'$"),
        ("cub200", "labels.txt", "4 2\n", "", r"labels.txt has no line for image 4, 002.Jay/d.jpg$"),
        ("cub200", "split.txt", "4 0", "4 2", r"images has 1 image instead of 2"),
        ("cub200", "split.txt", "4 0", "4 1", r"images has 3 images instead of 2"),
        ("cub200", "images.txt", "a.jpg", "z.jpg", r"z.jpg is missing$"),
        ("aircraft", "test.txt", "Boeing 737-700", "A320", r"'A320', which .* 2 classes, 'Boeing 737-700' to 'A310'$"),
        ("aircraft", "test.txt", "1514522", "1514523", r"images/1514523.jpg is missing$"),
        ("inat2018", "val2018.json", '_id": 1}', '_id": 3}', r"gives train_val2018/Av.* the class 3, which is not one"),
        ("inat2018", "val2018.json", '_id": 12', '_id": 13', r"val2018.json is broken \(KeyError: 13\)$"),
        ("inat2018", "val2018.json", "Aves/1/c", "Aves/1/d", r"train_val2018/Aves/1/d.jpg is missing$"),
        ("inat2018", "val2018.json", "categories", "kinds", r"val2018.json is broken \(KeyError: 'categories'\)$"),
        ("inat2018", "val2018.json", '{"images"', '{"images', r"val2018.json is broken \(JSONDecodeError: .*\)$"),
        ("inat2018", "val2018.json", '"images": [', '"images": 5, "more": [', r"val2018\.json is broken \("),
        ("places365", "val.txt", " 1", " 2", r"_val.txt gives Places365_val_00000001.jpg the class '2', .*'0' to '1'$"),
        ("places205", "train_places205.csv", " 1", " 2", r"5.csv gives y/yard/gsun_2.jpg the class '2', .*'0' to '1'$"),
    ],
)
def test_what_is_wrong_in_a_list_is_named(name, file, right, wrong, message, lay_out):
    layout = LAYOUTS[name]
    (path,) = (path for path in layout.content if path.endswith(file))
    content = layout.content[path].replace(right, wrong)
    require_refused(message, layout.read, lay_out({**layout.content, path: content}))


def test_a_class_folder_that_only_training_has_is_named_and_nothing_fetched(lay_out, monkeypatch):
    root = lay_out(pictures(PLACES, "train/airfield/1", "train/zoo/2", "val/zoo/3"))
    require_refused(r"^the folder .*/val/airfield is missing$", places.files_365, root, 2)
    monkeypatch.setattr(download, "unpack_archive", lambda *_, **__: pytest.fail("fetched"))
    places.fetch(root)


@pytest.mark.parametrize("file", ["places365standard_easyformat.tar", "places365_standard/train/zoo/1.jpg"])
def test_places_are_not_fetched_where_their_archive_is_not_unpacked_or_one_folder_too_deep(file, lay_out, asked):
    sentence = r"^Places365 is not complete \(the folder .*/places365/train is missing\); unpack"
    require_refused(sentence, DATASETS["places365"].prepare, lay_out({f"{PLACES}/{file}": "content"}))
    assert asked == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cub200", r"^CUB-200-2011 is not complete \(.*\); unpack the official CUB_200_2011.tgz to "),
        ("aircraft", r"^FGVC-Aircraft is not complete \(.*lists 2 variants instead of 100\); unpack "),
        ("inat2018", r"^iNaturalist 2018 is not complete \(.*lists 3 categories instead of 8142\); put the official "),
        ("places205", r"^Places205 is not complete \(.* has 2 images instead of 2448873.*; unpack"),
    ],
)
def test_a_part_of_a_data_set_is_refused_with_what_belongs_where(name, message, lay_out):
    require_refused(message, DATASETS[name].prepare, lay_out(LAYOUTS[name].content))


@pytest.mark.parametrize(("year", "images"), [(2017, "train_val_images"), (2018, "train_val2018")])
def test_both_editions_of_inaturalist_say_what_belongs_where(year, images, tmp_path):
    message = rf"^iNaturalist {year} is not complete \(.*train{year}.json cannot be read .*\); put .*{images}/ in "
    require_refused(message, DATASETS[f"inat{year}"].prepare, tmp_path)


@pytest.mark.parametrize(
    ("name", "host", "message"),
    [
        ("aircraft", "www.robots.ox.ac.uk", r"FGVC-Aircraft could not .* \(no route .*\); unpack the official fgvc"),
        ("places365", "data.csail.mit.edu", r"Places365 could not .* \(no route.*\); unpack .* places365stand"),
    ],
)
def test_what_is_not_there_is_fetched_whole_or_not_at_all(name, host, message, tmp_path, asked):
    require_refused(f"^{message}", DATASETS[name].prepare, tmp_path)
    assert asked == [host]
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_places_is_taken_from_three_archives(tmp_path, monkeypatch):
    folders = {"data_256": "train_256_places365standard.tar", "val_256": "val_256.tar"}
    archives = {"filelist_places365-standard.tar": {}, **{archive: {} for archive in folders.values()}}
    for path, text in LAYOUTS["places365"].content.items():
        name = path.removeprefix("places365/").replace("data_256_standard", "data_256")
        archive = folders.get(name.split("/")[0], "filelist_places365-standard.tar")
        archives[archive][name] = (text or "image").encode()
    packed = {archive: tar(files) for archive, files in archives.items()}
    monkeypatch.setattr(download, "fetch_file", lambda url, file, _: file.write_bytes(packed[download.name_of(url)]))
    with pytest.raises(DataError, match=r"^Places365 is not complete \(.* has 2 images instead of 1803460"):
        DATASETS["places365"].prepare(tmp_path)
    assert [pairs(split) for split in places.files_365(tmp_path, 2)] == [*LAYOUTS["places365"][2:]]
