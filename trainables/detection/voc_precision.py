"""The average precision of PASCAL VOC 2007: precision at eleven recalls, difficult objects not counted.

M. Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010, section 4.2. As in Detectron2 it is taken
at overlaps of 50, 55, ..., 95 %; the challenge itself has 50 %.

Shape letters: n boxes, D detections of a class, in the order of their scores.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainables.detection.annotated import Annotated, intersection_over_union
from trainables.detection.average_precision import AveragePrecision, Detections

OVERLAPS = np.arange(50, 100, 5) / 100
RECALLS = np.arange(11) / 10


def voc_average_precision(
    truth: Sequence[Annotated], found: Sequence[Detections], classes: Sequence[str]
) -> AveragePrecision:
    """Return the mean over classes of the average precision of what was ``found`` in the photographs of ``truth``."""
    table = np.array([_of_class(truth, found, label) for label in range(1, len(classes) + 1)])  # (classes, overlaps)
    counted = table[~np.isnan(table).any(axis=1)]
    means = 100 * counted.mean(axis=0) if len(counted) else 0 * OVERLAPS
    return AveragePrecision(float(means.mean()), float(means[0]), float(means[5]))


def _of_class(truth: Sequence[Annotated], found: Sequence[Detections], label: int) -> list[float]:
    """Return the average precision of one class at each overlap; NaN where it has no object that counts."""
    objects = [
        (
            np.array([box for box, own in zip(one.boxes, one.labels, strict=True) if own == label]).reshape(-1, 4),
            [ignored for ignored, own in zip(one.ignored, one.labels, strict=True) if own == label],
        )
        for one in truth
    ]
    wanted = sum(not ignored for _, flags in objects for ignored in flags)
    if not wanted:
        return [math.nan] * len(OVERLAPS)
    seen = [
        (score, image, box)
        for image, one in enumerate(found)
        for box, own, score in zip(one.boxes, one.labels, one.scores, strict=True)
        if own == label
    ]
    seen.sort(key=lambda row: -row[0])
    # The best object of each detection does not depend on the overlap that is asked for.
    best = [(image, *_best(np.array([box]), objects[image][0])) for _, image, box in seen]
    result = []
    for least in OVERLAPS:
        taken: set[tuple[int, int]] = set()
        right = np.zeros(len(best))
        wrong = np.zeros(len(best))
        for place, (image, overlap, number) in enumerate(best):
            if overlap > least:
                if objects[image][1][number]:
                    continue  # a difficult object counts neither way
                right[place] = (image, number) not in taken
                taken.add((image, number))
            wrong[place] = not right[place]
        result.append(_area(right.cumsum() / wanted, right.cumsum() / np.maximum(right.cumsum() + wrong.cumsum(), 1)))
    return result


def _best(box: NDArray[np.float64], objects: NDArray[np.float64]) -> tuple[float, int]:
    """Return the greatest overlap of a box (1, 4) with one of the objects (n, 4), and which."""
    if not len(objects):
        return 0.0, -1
    (overlaps,) = intersection_over_union(box, objects)
    return float(overlaps.max()), int(overlaps.argmax())


def _area(recall: NDArray[np.float64], precision: NDArray[np.float64]) -> float:
    """Return the mean over eleven recalls of the greatest precision at that recall or a greater one; both are (D,)."""
    return float(np.mean([precision[recall >= at].max(initial=0.0) for at in RECALLS]))
