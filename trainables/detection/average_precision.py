"""The average precision of a detector: by COCO's official evaluation (pycocotools), and that of PASCAL VOC 2007.

VOC's is the precision at eleven recalls, difficult objects not counted: M. Everingham et al., The PASCAL Visual Object
Classes Challenge, IJCV 2010, section 4.2. As in Detectron2 it is taken at overlaps of 50, 55, ..., 95 %; the challenge
itself has 50 %.

Shape letters: n boxes, D detections of a class, in the order of their scores.
"""

import contextlib
import io
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torchvision.ops import box_iou

from trainables.detection.annotated import Annotated, Box

OVERLAPS = np.arange(50, 100, 5) / 100
RECALLS = np.arange(11) / 10


class Detections(NamedTuple):
    """The objects that a detector finds in one photograph."""

    boxes: Sequence[Box]
    labels: Sequence[int]
    scores: Sequence[float]


class AveragePrecision(NamedTuple):
    """The average precision in percent: the mean over overlaps of 50, 55, ..., 95 %, and at 50 and 75 %."""

    ap: float
    ap50: float
    ap75: float


def average_precision(
    truth: Sequence[Annotated], found: Sequence[Detections], classes: Sequence[str]
) -> AveragePrecision:
    """Return the mean over classes of the average precision of what was ``found`` in the photographs of ``truth``."""
    rows = [
        {"image_id": image, "category_id": label, "bbox": _as_coco(box), "score": score}
        for image, one in enumerate(found)
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports every step
        evaluation = COCOeval(_truth(truth, classes), iouType="bbox")
        evaluation.cocoDt = evaluation.cocoGt.loadRes(rows) if rows else COCO()
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, -1]  # (overlaps, recalls, classes): all sizes, 100 a photograph
    overlaps = evaluation.params.iouThrs

    def mean(of: Any) -> float:
        known = of[of > -1]  # a class without an object has no precision
        return 100 * float(known.mean()) if known.size else 0.0

    return AveragePrecision(mean(precision), *(mean(precision[np.isclose(overlaps, at)]) for at in (0.5, 0.75)))


def _truth(truth: Sequence[Annotated], classes: Sequence[str]) -> COCO:
    annotations = [
        {
            "image_id": image,
            "category_id": label,
            "bbox": _as_coco(box),
            "area": 0,  # pycocotools sorts objects into small and large by it, which no average here uses
            "iscrowd": ignored,
        }
        for image, one in enumerate(truth)
        for box, label, ignored in zip(one.boxes, one.labels, one.ignored, strict=True)
    ]
    known = COCO()
    known.dataset = {
        "info": {},
        "images": [{"id": image} for image in range(len(truth))],
        "categories": [{"id": number, "name": name} for number, name in enumerate(classes, 1)],
        "annotations": [{"id": number, **one} for number, one in enumerate(annotations, 1)],
    }
    known.createIndex()
    return known


def _as_coco(box: Box) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]


def voc_average_precision(
    truth: Sequence[Annotated], found: Sequence[Detections], classes: Sequence[str]
) -> AveragePrecision:
    """Return the mean over classes of the average precision of what was ``found`` in the photographs of ``truth``."""
    table = np.array([_of_class(truth, found, label) for label in range(1, len(classes) + 1)])  # (classes, overlaps)
    counted = table[~np.isnan(table).any(axis=1)]
    means = 100 * counted.mean(axis=0) if len(counted) else np.zeros(len(OVERLAPS))
    return AveragePrecision(float(means.mean()), float(means[0]), float(means[5]))


Match = tuple[float, tuple[int, int], bool]  # see ``_matches``


def _of_class(truth: Sequence[Annotated], found: Sequence[Detections], label: int) -> list[float]:
    """Return the average precision of one class at each overlap; NaN where it has no object that counts."""
    count = [pair for one in truth for pair in zip(one.labels, one.ignored, strict=True)].count((label, False))
    if not count:
        return [math.nan] * len(OVERLAPS)
    matches = list(_matches(truth, found, label))
    return [_at_overlap(matches, count, least) for least in OVERLAPS]


def _matches(truth: Sequence[Annotated], found: Sequence[Detections], label: int) -> Iterator[Match]:
    """Yield the object that each detection of a class overlaps most, in the order of the scores.

    An item is the overlap, 0 where there is none, the numbers of the photograph and of the object in it, and whether
    the object is ignored.
    """
    seen = [
        (score, photograph, box)
        for photograph, one in enumerate(found)
        for box, own, score in zip(one.boxes, one.labels, one.scores, strict=True)
        if own == label
    ]
    for _, photograph, box in sorted(seen, key=lambda row: -row[0]):
        one = truth[photograph]
        rows = [row for row, own in enumerate(one.labels) if own == label]
        if not rows:
            yield 0.0, (photograph, -1), False
            continue
        true = torch.tensor([one.boxes[row] for row in rows], dtype=torch.float64)
        (overlaps,) = box_iou(torch.tensor([box], dtype=torch.float64), true)
        best = rows[int(overlaps.argmax())]
        yield float(overlaps.max()), (photograph, best), one.ignored[best]


def _at_overlap(matches: Sequence[Match], count: int, least: float) -> float:
    """Return the average precision of one class, where a match counts that overlaps by more than ``least``.

    ``count`` is the number of objects that are to be found. An object that is found again counts as a wrong detection,
    and an ignored one counts neither as right nor as wrong.
    """
    taken: set[tuple[int, int]] = set()
    right = np.zeros(len(matches))  # (D,)
    wrong = np.zeros(len(matches))  # (D,)
    for row, (overlap, place, ignored) in enumerate(matches):
        if overlap > least:
            if ignored:
                continue
            right[row] = place not in taken
            taken.add(place)
        wrong[row] = not right[row]
    recall = right.cumsum() / count
    precision = right.cumsum() / np.maximum(right.cumsum() + wrong.cumsum(), 1)
    # The precision at a recall is the greatest one there or beyond.
    return float(np.mean([precision[recall >= at].max(initial=0.0) for at in RECALLS]))
