"""Average precision by hand, by COCO's evaluation and by VOC's."""

from pathlib import Path

import pytest

from trainables.detection.annotated import Annotated
from trainables.detection.average_precision import Detections, average_precision, voc_average_precision

BOX, FAR = (10.0, 10.0, 59.0, 59.0), (200.0, 200.0, 260.0, 260.0)
JUDGES = [average_precision, voc_average_precision]


def truth(*objects):
    """Return a photograph with objects (box, label, ignored)."""
    boxes, labels, ignored = zip(*objects, strict=True) if objects else ((), (), ())
    return Annotated(Path("photo"), list(boxes), list(labels), list(ignored))


def found(*rows):
    """Return detections (box, label, score)."""
    boxes, labels, scores = zip(*rows, strict=True) if rows else ((), (), ())
    return Detections(list(boxes), list(labels), list(scores))


@pytest.mark.parametrize("judge", JUDGES)
def test_what_is_all_right_has_all_and_what_finds_nothing_has_none(judge):
    images = [truth((BOX, 1, False), (FAR, 2, False)), truth((BOX, 2, False))]
    right = [found((BOX, 1, 0.9), (FAR, 2, 0.8)), found((BOX, 2, 0.7))]
    assert judge(images, right, ["a", "b"]) == pytest.approx((100, 100, 100))
    assert judge(images, [found(), found()], ["a", "b"]) == (0, 0, 0)
    wrong_class = [found((BOX, 2, 0.9)), found((BOX, 1, 0.7))]
    assert judge(images, wrong_class, ["a", "b"]) == (0, 0, 0)


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize(
    ("overlap", "wanted"),
    [(0.49, (0, 0, 0)), (0.51, (10, 100, 0)), (0.58, (20, 100, 0)), (0.76, (60, 100, 100)), (0.96, (100, 100, 100))],
)
def test_the_ten_overlaps_are_50_to_95_percent(overlap, wanted, judge):
    for part in ((10.0, 10.0, 59.0, 10 + 49 * overlap), (10.0, 10.0, 10 + 49 * overlap, 59.0)):
        assert judge([truth((BOX, 1, False))], [found((part, 1, 0.9))], ["a"]) == pytest.approx(wanted)


@pytest.mark.parametrize(("judge", "ap50"), [(average_precision, 100), (voc_average_precision, 0)])
def test_an_overlap_of_just_50_percent_counts_for_coco_alone(judge, ap50):
    half = found(((0.0, 0.0, 50.0, 25.0), 1, 0.9))
    assert judge([truth(((0.0, 0.0, 50.0, 50.0), 1, False))], [half], ["a"]).ap50 == pytest.approx(ap50)


def test_one_of_two_objects_after_a_wrong_one():
    """Precision is 1/2 up to a recall of 1/2, and 0 beyond: 51 of COCO's 101 recalls, 6 of VOC's 11."""
    images = [truth((BOX, 1, False)), truth((BOX, 1, False)), truth()]
    right, wrong = found((BOX, 1, 0.8)), found((FAR, 1, 0.9))  # the order is that of the scores
    for seen in ([right, wrong, found()], [right, found(), wrong]):
        assert average_precision(images, seen, ["a"]).ap50 == pytest.approx(100 * 0.5 * 51 / 101)
        assert voc_average_precision(images, seen, ["a"]).ap50 == pytest.approx(100 * 0.5 * 6 / 11)


def test_the_recalls_are_tenths_for_voc_and_hundredths_for_coco():
    """Two of seven objects are found, and nothing else: 0, 0.1 and 0.2 are reached, or 0 to 0.28."""
    images = [truth((BOX, 1, False))] * 7
    seen = [found((BOX, 1, 0.9))] * 2 + [found()] * 5
    assert voc_average_precision(images, seen, ["a"]).ap50 == pytest.approx(100 * 3 / 11)
    assert average_precision(images, seen, ["a"]).ap50 == pytest.approx(100 * 29 / 101)


@pytest.mark.parametrize("judge", JUDGES)
def test_all_of_many_detections_in_one_photograph_count(judge):
    boxes = [(100.0 * place, 10.0, 100.0 * place + 49, 59.0) for place in range(12)]
    right = found(*((box, 1, 0.9 - place / 100) for place, box in enumerate(boxes)))
    assert judge([truth(*((box, 1, False) for box in boxes))], [right], ["a"]) == pytest.approx((100, 100, 100))


@pytest.mark.parametrize("judge", JUDGES)
def test_an_object_found_twice_is_wrong_once(judge):
    images = [truth((BOX, 1, False)), truth((BOX, 1, False))]
    seen = [found((BOX, 1, 0.9), (BOX, 1, 0.8)), found((BOX, 1, 0.7))]
    # Right, wrong, right: precision 1 up to a recall of a half, then 2/3.
    share = {average_precision: (51 + 50 * 2 / 3) / 101, voc_average_precision: (6 + 5 * 2 / 3) / 11}[judge]
    assert judge(images, seen, ["a"]).ap50 == pytest.approx(100 * share)


@pytest.mark.parametrize("judge", JUDGES)
def test_an_ignored_object_counts_neither_way_and_a_class_without_objects_not_at_all(judge):
    images = [truth((BOX, 1, False), (FAR, 1, True))]
    twice = found((FAR, 1, 0.96), (FAR, 1, 0.95), (BOX, 1, 0.9))
    for seen in ([found((BOX, 1, 0.9))], [twice]):
        assert judge(images, seen, ["a", "never there"]) == pytest.approx((100, 100, 100))
    assert judge(images, [found((FAR, 1, 0.95))], ["a"]) == (0, 0, 0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("judge", JUDGES)
def test_without_an_object_that_counts_there_is_no_precision(judge):
    """NumPy warned of the mean of an empty slice."""
    assert judge([truth((BOX, 1, True))], [found((BOX, 1, 0.9))], ["a", "b"]) == (0, 0, 0)
