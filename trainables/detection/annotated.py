"""Photographs with boxes around their objects, as the official archives of PASCAL VOC and COCO lay them out.

M. Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010; T.-Y. Lin et al., Microsoft COCO, ECCV
2014, arXiv:1405.0312. In the data root lie ``VOCdevkit/VOC2007`` and ``VOC2012``, or ``coco``.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

from trainables.datasets.dataset import DataError
from trainables.datasets.image_files import text_of
from trainables.refusals import counted

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
    ignored: list[bool]  # objects neither to learn nor to find: COCO's crowds, and the difficult ones of VOC's test set

    @property
    def counted(self) -> list[int]:
        """Return the places of the objects that are not ignored."""
        return [place for place, ignored in enumerate(self.ignored) if not ignored]


class AnnotatedSplits(NamedTuple):
    """The photographs to train on and those to test on, and the names of the classes 1, 2, ..."""

    train: list[Annotated]
    test: list[Annotated]
    classes: Sequence[str]


def voc(root: Path) -> AnnotatedSplits:
    """Read PASCAL VOC: trained on ``trainval`` of 2007 and 2012, tested on ``test`` of 2007.

    As in Detectron2 difficult objects are learned as all others are, and need not be found. ``DataError`` names the
    first file that is missing or broken, here and in ``coco``.
    """
    kit = root / "VOCdevkit"
    train = [*_voc_part(kit / "VOC2007", "trainval"), *_voc_part(kit / "VOC2012", "trainval")]
    return AnnotatedSplits(train, _voc_part(kit / "VOC2007", "test"), VOC_CLASSES)


def _voc_part(folder: Path, part: str) -> list[Annotated]:
    listed = folder / "ImageSets" / "Main" / f"{part}.txt"
    return _photographs([_voc_image(folder, name, part) for name in text_of(listed).split()], listed)


def _photographs(images: list[Annotated], listed: Path) -> list[Annotated]:
    """Return what a file lists; raise ``DataError`` if there is no object that counts, or a photograph is missing."""
    if not any(image.counted for image in images):
        raise DataError(f"{listed} lists no photograph with an object that counts")
    if missing := [image.file for image in images if not os.path.isfile(image.file)]:
        which = f"{len(missing)} of the {counted(len(images), 'photograph')} that {listed} lists"
        raise DataError(f"{which} cannot be found, the first of which is {missing[0]}")
    return images


def _voc_image(folder: Path, name: str, part: str) -> Annotated:
    file = folder / "Annotations" / f"{name}.xml"
    text = text_of(file)
    try:
        objects = ElementTree.fromstring(text).findall("object")
        labels = [VOC_CLASSES.index(str(found.findtext("name"))) + 1 for found in objects]
        corners = [
            [float(str(found.findtext(f"bndbox/{end}"))) for end in ("xmin", "ymin", "xmax", "ymax")]
            for found in objects
        ]
        for left, top, right, bottom in corners:
            if not (left <= right and top <= bottom):
                raise ValueError(f"a box ends at {right:g}, {bottom:g}, before {left:g}, {top:g}")
    except (ElementTree.ParseError, ValueError) as error:
        raise DataError(f"{file} is broken ({error})") from error
    # VOC counts pixels from 1, and the last ones belong to the box: from 1 to the width is the whole image.
    boxes: list[Box] = [(left - 1, top - 1, right, bottom) for left, top, right, bottom in corners]
    ignored = [part == "test" and found.findtext("difficult") == "1" for found in objects]
    return Annotated(folder / "JPEGImages" / f"{name}.jpg", boxes, labels, ignored)


def coco(root: Path) -> AnnotatedSplits:
    """Read COCO 2017: trained on ``train2017``, tested on ``val2017``; boxes without an area are left out."""
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
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file} is broken ({type(error).__name__}: {error})") from error
    return _photographs(list(images.values()), file), names


LAYOUTS: dict[str, Callable[[Path], AnnotatedSplits]] = {"voc": voc, "coco": coco}
