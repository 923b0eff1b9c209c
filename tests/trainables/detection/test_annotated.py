"""Annotations are read from files in the official layouts, and what is wrong with one is named."""

import json

import pytest

from tests.trainables.datasets.files import require_refused
from trainables.detection.annotated import coco, voc


def annotation(*box: object, name: str = "dog", difficult: int = 0) -> str:
    sides = "".join(f"<{side}>{at}</{side}>" for side, at in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{sides}</bndbox></object>"


@pytest.fixture
def kit(tmp_path):
    objects = annotation(48, 240, 195, 371) + annotation(8, 12, 352, 498, name="person", difficult=1)
    parts = (("VOC2007", "trainval", "000005"), ("VOC2007", "test", "000001"), ("VOC2012", "trainval", "2008_1"))
    for year, part, name in parts:
        folder = tmp_path / "VOCdevkit" / year
        for below in ("ImageSets/Main", "Annotations", "JPEGImages"):
            (folder / below).mkdir(parents=True, exist_ok=True)
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text(f"{name}\n")
        (folder / "Annotations" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
        (folder / "JPEGImages" / f"{name}.jpg").touch()
    return tmp_path


def test_voc_is_trained_on_two_years_counts_pixels_from_one_and_need_not_find_what_is_difficult(kit):
    """A box from 48 to 195 includes both of these pixels, so it is 148 pixels wide."""
    train, test, classes = voc(kit)
    assert [image.file.name for image in train] == ["000005.jpg", "2008_1.jpg"]
    (image,) = test
    assert image.boxes == [(47, 239, 195, 371), (7, 11, 352, 498)]
    assert [classes[label - 1] for label in image.labels] == ["dog", "person"]
    assert len(classes) == 20
    assert [image.ignored for image in (*train, *test)] == [[False, False], [False, False], [False, True]]


@pytest.mark.parametrize(
    "content", ["<object>", annotation(1, 1, 2, 2, name="gnu"), annotation(3, 1, 2, 2), annotation(1, "nan", 2, 2)]
)
def test_a_broken_annotation_of_voc_is_named(kit, content):
    file = kit / "VOCdevkit" / "VOC2007" / "Annotations" / "000001.xml"
    file.write_text(f"<annotation>{content}</annotation>")
    require_refused(r"000001.xml is broken", voc, kit)
    file.unlink()
    require_refused(r"000001.xml cannot be read \(No such file or directory\)$", voc, kit)


def test_a_box_of_a_single_pixel_has_an_area(kit):
    file = kit / "VOCdevkit" / "VOC2007" / "Annotations" / "000005.xml"
    file.write_text(f"<annotation>{annotation(5, 9, 5, 9)}</annotation>")
    assert voc(kit).train[0].boxes == [(4, 8, 5, 9)]


def test_a_photograph_that_is_missing_is_named_with_the_number_of_all(kit):
    folder = kit / "VOCdevkit" / "VOC2007"
    (folder / "ImageSets" / "Main" / "test.txt").write_text("000001\n000005\n")
    for file in (folder / "JPEGImages").iterdir():
        file.unlink()
    require_refused(r"^1 of the 1 photograph that .*trainval\.txt lists .* is .*000005\.jpg$", voc, kit)
    (folder / "JPEGImages" / "000005.jpg").touch()
    require_refused(r"^1 of the 2 photographs that .*test\.txt lists .* is .*000001\.jpg$", voc, kit)


def box(*sides: float, image: int = 9, category: int = 1, **keys: int) -> dict[str, object]:
    return {"image_id": image, "category_id": category, "bbox": list(sides), **keys}


DOG = box(1, 2, 10, 20, category=18)


def write_coco(root, annotations):
    images = [{"id": 9, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}]
    categories = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
    (root / "coco" / "annotations").mkdir(parents=True)
    for part in ("train2017", "val2017"):
        (root / "coco" / part).mkdir()
        for image in images:
            (root / "coco" / part / str(image["file_name"])).touch()
        content = {"images": images, "categories": categories, "annotations": annotations}
        (root / "coco" / "annotations" / f"instances_{part}.json").write_text(json.dumps(content))


def test_coco_numbers_its_categories_without_gaps(tmp_path):
    empty = (box(5, 5, 0, 4, iscrowd=0), box(5, 5, 4, 0, iscrowd=0))
    write_coco(tmp_path, [{**DOG, "iscrowd": 0}, box(5, 5, 0.5, 0.5, iscrowd=1), *empty])
    train, test, classes = coco(tmp_path)
    assert classes == ["person", "dog"]
    assert train[0].file == tmp_path / "coco" / "train2017" / "a.jpg"
    assert test[0][1:] == ([(1, 2, 11, 22), (5, 5, 5.5, 5.5)], [2, 1], [False, True])
    assert test[1].boxes == []


def test_a_broken_file_of_coco_is_named(tmp_path):
    write_coco(tmp_path, [{**DOG, "image_id": 7}])
    file = tmp_path / "coco" / "annotations" / "instances_train2017.json"
    nameless = '{"categories": [{"id": 1}], "images": [], "annotations": []}'
    for content in (file.read_text(), "5", nameless, '{"categories": 5}'):
        file.write_text(content)
        require_refused(r"instances_train2017\.json is broken \(", coco, tmp_path)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"categories": [{"id": 18, "name": "cat"}]}, "coco/annotations has other categories to train on than to test"),
        # It ended hours later, in a KeyError of the official evaluation.
        ({"images": [], "annotations": []}, r"instances_val2017\.json lists no photograph with an object that counts$"),
    ],
)
def test_a_test_set_that_does_not_fit_is_refused_before_anything_is_trained(changes, sentence, tmp_path):
    write_coco(tmp_path, [DOG])
    file = tmp_path / "coco" / "annotations" / "instances_val2017.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    require_refused(sentence, coco, tmp_path)
