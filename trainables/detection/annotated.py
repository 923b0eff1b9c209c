"""Photographs with boxes around their objects, as the official archives of PASCAL VOC and COCO lay them out.

M. Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010; T.-Y. Lin et al., Microsoft COCO, ECCV
2014, arXiv:1405.0312. In the data root lie ``VOCdevkit/VOC2007`` and ``VOC2012``, or ``coco``.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from trainables.datasets.dataset import DataError
from trainables.datasets.image_files import text_of

Box = tuple[float, float, float, float]  # left, top, right, bottom, in pixels

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


class Annotated(NamedTuple):
    """One photograph and its objects."""

    file: Path
    boxes: list[Box]
    labels: list[int]  # from 1; 0 is the background
    ignored: list[bool]  # objects that nobody need find: VOC's difficult ones, COCO's crowds


class AnnotatedSplits(NamedTuple):
    """The photographs to train on and those to test on, and the names of the classes 1, 2, ..."""

    train: list[Annotated]
    test: list[Annotated]
    classes: Sequence[str]


def voc(root: Path) -> AnnotatedSplits:
    """Read PASCAL VOC: trained on ``trainval`` of 2007 and 2012, tested on ``test`` of 2007.

    ``DataError`` names the first file that is missing or broken, here and in ``coco``.
    """
    kit = root / "VOCdevkit"
    train = [*_voc_part(kit / "VOC2007", "trainval"), *_voc_part(kit / "VOC2012", "trainval")]
    return AnnotatedSplits(train, _voc_part(kit / "VOC2007", "test"), VOC_CLASSES)


def _voc_part(folder: Path, part: str) -> list[Annotated]:
    names = text_of(folder / "ImageSets" / "Main" / f"{part}.txt").split()
    return [_voc_image(folder, name) for name in names]


def _voc_image(folder: Path, name: str) -> Annotated:
    file = folder / "Annotations" / f"{name}.xml"
    text = text_of(file)
    try:
        objects = ElementTree.fromstring(text).findall("object")
        labels = [VOC_CLASSES.index(str(found.findtext("name"))) + 1 for found in objects]
        # VOC counts pixels from 1.
        boxes = [
            tuple(float(str(found.findtext(f"bndbox/{end}"))) - 1 for end in ("xmin", "ymin", "xmax", "ymax"))
            for found in objects
        ]
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{file} is broken ({error})") from error
    difficult = [found.findtext("difficult") == "1" for found in objects]
    return Annotated(folder / "JPEGImages" / f"{name}.jpg", boxes, labels, difficult)  # type: ignore[arg-type]


def coco(root: Path) -> AnnotatedSplits:
    """Read COCO 2017: trained on ``train2017``, tested on ``val2017``."""
    (train, classes), (test, others) = (_coco_part(root / "coco", part) for part in ("train2017", "val2017"))
    if classes != others:
        raise DataError(f"{root / 'coco' / 'annotations'} has other categories to train on than to test on")
    return AnnotatedSplits(train, test, classes)


def _coco_part(folder: Path, part: str) -> tuple[list[Annotated], list[str]]:
    file = folder / "annotations" / f"instances_{part}.json"
    text = text_of(file)
    try:
        content: dict[str, Any] = json.loads(text)
        categories = sorted(content["categories"], key=lambda category: category["id"])
        label_of = {category["id"]: number for number, category in enumerate(categories, 1)}
        images = {image["id"]: Annotated(folder / part / image["file_name"], [], [], []) for image in content["images"]}
        for found in content["annotations"]:
            left, top, width, height = found["bbox"]
            if width > 0 and height > 0:
                image = images[found["image_id"]]
                image.boxes.append((left, top, left + width, top + height))
                image.labels.append(label_of[found["category_id"]])
                image.ignored.append(bool(found.get("iscrowd")))
        names = [str(category["name"]) for category in categories]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{file} is broken ({type(error).__name__}: {error})") from error
    return list(images.values()), names


def intersection_over_union(found: NDArray[np.float64], true: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the overlap of each found box (n, 4) with each true one (m, 4), (n, m); a box includes its last pixels."""
    low = np.maximum(found[:, None, :2], true[:, :2])
    high = np.minimum(found[:, None, 2:], true[:, 2:])
    shared = np.prod(np.maximum(high - low + 1, 0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2] + 1, axis=1) for boxes in (found, true)]
    return shared / (areas[0][:, None] + areas[1] - shared)


LAYOUTS: dict[str, Callable[[Path], AnnotatedSplits]] = {"voc": voc, "coco": coco}
