"""The average precision of a detector, by COCO's official evaluation (pycocotools)."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from trainables.detection.annotated import Annotated, Box


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
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports every step
        evaluation = COCOeval(_truth(truth, classes), iouType="bbox")
        evaluation.cocoDt = evaluation.cocoGt.loadRes(rows) if (rows := _rows(found)) else COCO()
        evaluation.params.imgIds = list(range(len(truth)))
        evaluation.params.catIds = list(range(1, len(classes) + 1))
        evaluation.evaluate()
        evaluation.accumulate()
    precision = evaluation.eval["precision"][..., 0, -1]  # (overlaps, recalls, classes): all sizes, 100 a photograph
    overlaps = evaluation.params.iouThrs

    def mean(of: Any) -> float:
        there = of[of > -1]  # a class without an object has no precision
        return 100 * float(there.mean()) if there.size else 0.0

    return AveragePrecision(mean(precision), *(mean(precision[np.isclose(overlaps, at)]) for at in (0.5, 0.75)))


def _truth(truth: Sequence[Annotated], classes: Sequence[str]) -> COCO:
    annotations = [
        {
            "image_id": image,
            "category_id": label,
            "bbox": _as_coco(box),
            "area": (box[2] - box[0]) * (box[3] - box[1]),
            "iscrowd": int(ignored),
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


def _rows(found: Sequence[Detections]) -> list[dict[str, Any]]:
    return [
        {"image_id": image, "category_id": label, "bbox": _as_coco(box), "score": score}
        for image, one in enumerate(found)
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True)
    ]


def _as_coco(box: Box) -> list[float]:
    left, top, right, bottom = box
    return [left, top, right - left, bottom - top]
