"""Annotations are read from files in the official layouts, and what is wrong with one is named."""

import json

import pytest

from trainables.datasets.dataset import DataError
from trainables.detection.annotated import VOC_CLASSES, coco, voc

OBJECT = """<object><name>{name}</name><difficult>{difficult}</difficult>
<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox></object>"""


@pytest.fixture
def kit(tmp_path):
    years = {"VOC2007": {"trainval": ["000005"], "test": ["000001"]}, "VOC2012": {"trainval": ["2008_1"]}}
    for year, parts in years.items():
        folder = tmp_path / "VOCdevkit" / year
        (folder / "ImageSets" / "Main").mkdir(parents=True)
        (folder / "Annotations").mkdir()
        for part, names in parts.items():
            (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(names) + "\n")
            for name in names:
                objects = OBJECT.format(48, 240, 195, 371, name="dog", difficult=0)
                objects += OBJECT.format(8, 12, 352, 498, name="person", difficult=1)
                (folder / "Annotations" / f"{name}.xml").write_text(f"<annotation>{objects}</annotation>")
                (folder / "JPEGImages").mkdir(exist_ok=True)
                (folder / "JPEGImages" / f"{name}.jpg").touch()
    return tmp_path


def test_voc_is_trained_on_two_years_and_counts_pixels_from_one(kit):
    """A box from 48 to 195 includes both of these pixels, so it is 148 pixels wide."""
    train, test, classes = voc(kit)
    assert [image.file.name for image in train] == ["000005.jpg", "2008_1.jpg"]
    (image,) = test
    assert image.boxes == [(47, 239, 195, 371), (7, 11, 352, 498)]
    assert [classes[label - 1] for label in image.labels] == ["dog", "person"]
    assert len(VOC_CLASSES) == 20


@pytest.mark.parametrize(
    "content",
    [
        "<object>",
        OBJECT.format(1, 1, 2, 2, name="gnu", difficult=0),
        OBJECT.format(3, 1, 2, 2, name="dog", difficult=0),
        OBJECT.format(1, "nan", 2, 2, name="dog", difficult=0),
    ],
)
def test_a_broken_annotation_of_voc_is_named(kit, content):
    file = kit / "VOCdevkit" / "VOC2007" / "Annotations" / "000001.xml"
    file.write_text(f"<annotation>{content}</annotation>")
    with pytest.raises(DataError, match=r"000001.xml is broken"):
        voc(kit)
    file.unlink()
    with pytest.raises(DataError, match=r"000001.xml cannot be read \(No such file or directory\)$"):
        voc(kit)


def test_difficult_objects_of_voc_are_learned_but_need_not_be_found(kit):
    train, test, _ = voc(kit)
    assert [image.ignored for image in (*train, *test)] == [[False, False], [False, False], [False, True]]


def test_a_box_of_a_single_pixel_has_an_area(kit):
    file = kit / "VOCdevkit" / "VOC2007" / "Annotations" / "000005.xml"
    file.write_text(f"<annotation>{OBJECT.format(5, 9, 5, 9, name='dog', difficult=0)}</annotation>")
    assert voc(kit).train[0].boxes == [(4, 8, 5, 9)]


def test_a_photograph_that_is_missing_is_named_with_the_number_of_all(kit):
    folder = kit / "VOCdevkit" / "VOC2007"
    (folder / "ImageSets" / "Main" / "test.txt").write_text("000001\n000005\n")
    for file in (folder / "JPEGImages").iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"^1 of the 1 photograph that .*trainval\.txt lists .* is .*000005\.jpg$"):
        voc(kit)
    (folder / "JPEGImages" / "000005.jpg").touch()
    with pytest.raises(DataError, match=r"^1 of the 2 photographs that .*test\.txt lists .* is .*000001\.jpg$"):
        voc(kit)


def write_coco(root, annotations):
    for part in ("train2017", "val2017"):
        file = root / "coco" / "annotations" / f"instances_{part}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        images = [{"id": 9, "file_name": "a.jpg"}, {"id": 3, "file_name": "b.jpg"}]
        (root / "coco" / part).mkdir(exist_ok=True)
        for image in images:
            (root / "coco" / part / str(image["file_name"])).touch()
        categories = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
        file.write_text(json.dumps({"images": images, "categories": categories, "annotations": annotations}))


def test_coco_numbers_its_categories_without_gaps(tmp_path):
    write_coco(
        tmp_path,
        [
            {"image_id": 9, "category_id": 18, "bbox": [1, 2, 10, 20], "iscrowd": 0},
            {"image_id": 9, "category_id": 1, "bbox": [5, 5, 0.5, 0.5], "iscrowd": 1},
            {"image_id": 9, "category_id": 1, "bbox": [5, 5, 0, 4], "iscrowd": 0},
            {"image_id": 9, "category_id": 1, "bbox": [5, 5, 4, 0], "iscrowd": 0},
        ],
    )
    train, test, classes = coco(tmp_path)
    assert classes == ["person", "dog"]
    assert train[0].file == tmp_path / "coco" / "train2017" / "a.jpg"
    assert test[0].boxes == [(1, 2, 11, 22), (5, 5, 5.5, 5.5)]
    assert test[0].labels == [2, 1]
    assert test[0].ignored == [False, True]
    assert test[1].boxes == []


def test_a_broken_file_of_coco_is_named(tmp_path):
    write_coco(tmp_path, [{"image_id": 7, "category_id": 18, "bbox": [1, 2, 10, 20]}])
    file = tmp_path / "coco" / "annotations" / "instances_train2017.json"
    nameless = '{"categories": [{"id": 1}], "images": [], "annotations": []}'
    for content in (file.read_text(), "5", nameless, '{"categories": 5}'):
        file.write_text(content)
        with pytest.raises(DataError, match=r"instances_train2017\.json is broken \("):
            coco(tmp_path)


def test_other_categories_to_test_on_are_refused(tmp_path):
    write_coco(tmp_path, [{"image_id": 9, "category_id": 18, "bbox": [1, 2, 10, 20]}])
    file = tmp_path / "coco" / "annotations" / "instances_val2017.json"
    file.write_text(file.read_text().replace("person", "cat"))
    with pytest.raises(DataError, match=r"coco/annotations has other categories to train on than to test on$"):
        coco(tmp_path)


def test_a_test_set_without_photographs_is_refused_before_anything_is_trained(tmp_path):
    """It ended hours later, in a KeyError of the official evaluation."""
    write_coco(tmp_path, [{"image_id": 9, "category_id": 18, "bbox": [1, 2, 10, 20]}])
    file = tmp_path / "coco" / "annotations" / "instances_val2017.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "images": [], "annotations": []}))
    with pytest.raises(DataError, match=r"instances_val2017\.json lists no photograph with an object that counts$"):
        coco(tmp_path)
