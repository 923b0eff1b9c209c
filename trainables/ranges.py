"""The values that options may have, as types that ``trainables.config`` checks: ranges of numbers, and words.

Like every file that declares options, this one needs no torch, which takes seconds to import: a study is listed, and a
wrong option refused, without it.
"""

from typing import Annotated, Literal

from pydantic import Field

LARGEST = 1e38  # the largest number in a network, which computes in 32 bits

Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Classes = Annotated[int, Field(ge=2, le=2**31 - 1)]  # with one, every answer is right
Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]  # a count that may be 0
# Every batch takes longer the larger these are, so a mistyped huge number is refused.
Few = Annotated[int, Field(ge=1, le=100)]
Several = Annotated[int, Field(ge=2, le=100)]
Iterations = Annotated[int, Field(ge=1, le=1000)]
Side = Annotated[int, Field(ge=1, le=4096)]  # an image's, in pixels
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0, le=LARGEST, allow_inf_nan=False)]
Hue = Annotated[float, Field(ge=0, le=0.5)]  # a share of the circle of colours
Positive = Annotated[float, Field(gt=0, le=LARGEST, allow_inf_nan=False)]

Init = Literal["om_table", "torch_default"]
Interpolation = Literal["bilinear", "bicubic"]
Padding = Literal["reflect", "zeros"]
Pretrained = Literal["none", "IMAGENET1K_V1", "IMAGENET1K_V2", "timm"]  # torchvision's names; timm: those of the tag
