"""RandAugment, a whole batch at a time: each image has its own operations, strengths and signs.

E. D. Cubuk, B. Zoph, J. Shlens and Q. V. Le, RandAugment: Practical Automated Data Augmentation with a Reduced Search
Space, NeurIPS 2020, arXiv:1909.13719. There are two sets of operations: ``fixmatch``, the 14 that OpenMixup trains
transformers with on CIFAR-100, and ``increasing``, the 15 of the DeiT recipe (rand-m9-mstd0.5-inc1), all stronger at a
higher level. As in both, an operation that is drawn is carried out half of the time, and its level varies normally.

Operations fall into three kinds, and each kind is computed once for the batch: a table of values, a blend, a move of
pixels. An image that has another kind passes unchanged. Moved pixels are interpolated bilinearly (the originals use
bicubic, or either), and whatever moves in from outside has the data set's mean colour.

Shape letters: B batch, C channels, H height, W width.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from trainables.augment import value_tables
from trainables.augment.colour import QUALITIES, blend, lacking
from trainables.constants import constant
from trainables.datasets.data_config import AugmentConfig

PROBABILITY = 0.5  # the probability that an operation which is drawn is carried out
TOP_LEVEL = 10


class Drawn(NamedTuple):
    """The operation that each image of a batch gets in one round."""

    operation: Tensor  # (B,) int64, index in the policy; -1: none
    level: Tensor  # (B,) in [0, 1]
    sign: Tensor  # (B,) -1 or 1


class Policy(NamedTuple):
    """A set of operations, and the effect of a level in [0, 1] and a sign on each."""

    tables: Mapping[str, Callable[[Tensor, Tensor], Tensor]]  # (histogram, level) -> (B, C, 256) new values
    factors: Callable[[Drawn], Tensor]  # (B,) of the four blends
    translation: float  # share of the image's side, at the top level
    identity: bool = False

    @property
    def operations(self) -> tuple[str, ...]:
        """Return the names of the operations, in the order that numbers them."""
        return (*self.tables, *QUALITIES, *MOVES, *(("identity",) if self.identity else ()))


MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
ROTATION = 30.0  # degrees, at the top level
SHEAR = 0.3


def rand_augment(images: Tensor, rng: Generator, *, options: AugmentConfig, mean: Sequence[float]) -> Tensor:
    """Apply random operations to each image (B, C, H, W) uint8, one after another; the same may come twice.

    The policy, the number of operations and their strength, which stays between 0 and 10, are those of the options;
    ``mean`` is the colour that moves in from outside, for pixels in [0, 1].
    """
    pixels, policy = images.float(), POLICIES[options.randaugment]
    for _ in range(options.operations):
        pixels = apply(pixels, policy, draw(len(images), policy, rng, options.level, options.level_std), mean)
    return pixels.to(torch.uint8)


def draw(B: int, policy: Policy, rng: Generator, level: float, level_std: float) -> Drawn:
    """Draw the operation of one round for each of ``B`` images."""
    device = rng.device
    operation = torch.randint(len(policy.operations), (B,), generator=rng, device=device)
    carried_out, negative = torch.rand(2, B, generator=rng, device=device) < PROBABILITY
    levels = level + level_std * torch.randn(B, generator=rng, device=device)
    return Drawn(
        operation=torch.where(carried_out, operation, -1),
        level=levels.clamp(0, TOP_LEVEL) / TOP_LEVEL,
        sign=1 - 2 * negative.float(),
    )


def apply(pixels: Tensor, policy: Policy, drawn: Drawn, mean: Sequence[float]) -> Tensor:
    """Carry out one round; both the argument and the result are (B, C, H, W) whole float32 numbers in 0..255."""
    names = {name: drawn.operation == place for place, name in enumerate(policy.operations)}  # (B,) bool each
    histogram = value_tables.counted(pixels)
    tables = ((names[name], new_values(histogram, drawn.level)) for name, new_values in policy.tables.items())
    pixels = value_tables.replaced(pixels, tables)
    any_blend = torch.stack([names[name] for name in QUALITIES]).any(dim=0)
    pixels = blend(lacking(pixels, names), pixels, torch.where(any_blend, policy.factors(drawn), 1))
    return _moved(pixels, policy, drawn, names, mean)


def _moved(pixels: Tensor, policy: Policy, drawn: Drawn, chosen: Mapping[str, Tensor], mean: Sequence[float]) -> Tensor:
    """Turn the chosen images about the middle, shear them about the upper left corner, or shift them."""
    _, C, H, W = pixels.shape
    amount = drawn.level * drawn.sign

    def of(name: str, top: float) -> Tensor:
        return torch.where(chosen[name], top * amount, 0)

    angle, shear_x, shear_y = of("rotate", ROTATION).deg2rad(), of("shear_x", SHEAR), of("shear_y", SHEAR)
    shift_x = of("translate_x", policy.translation * W) + shear_x * H / 2
    shift_y = of("translate_y", policy.translation * H) + shear_y * W / 2
    # These map a point of the result to the point of the image that it shows, in pixels from the middle.
    to_x = torch.stack((angle.cos(), shear_x - angle.sin(), shift_x), dim=1)
    to_y = torch.stack((shear_y + angle.sin(), angle.cos(), shift_y), dim=1)
    x = torch.arange(W, device=pixels.device) - (W - 1) / 2
    y = (torch.arange(H, device=pixels.device) - (H - 1) / 2)[:, None]
    from_x, from_y = (m[:, 0, None, None] * x + m[:, 1, None, None] * y + m[:, 2, None, None] for m in (to_x, to_y))
    grid = torch.stack((from_x * 2 / W, from_y * 2 / H), dim=-1)  # (B, H, W, 2)
    inside = ((from_x.abs() < W / 2) & (from_y.abs() < H / 2))[:, None]
    moved = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    fill = (255 * constant(mean, pixels.device)).round().view(1, C, 1, 1)
    return torch.where(inside, moved, fill).round_().clamp_(0, 255)


def invert(histogram: Tensor, level: Tensor) -> Tensor:
    """Return the table (1, 1, 256) of the negative."""
    return (255 - torch.arange(256.0, device=histogram.device)).view(1, 1, 256)


def solarize(histogram: Tensor, level: Tensor) -> Tensor:
    """Return tables (B, 1, 256) that invert bright values; at the top level, all values."""
    return value_tables.solarize(256 - (256 * level).floor())


def solarize_add(histogram: Tensor, level: Tensor) -> Tensor:
    """Return tables (B, 1, 256) that lift dark values, by up to 110."""
    value = torch.arange(256.0, device=histogram.device)
    lifted = (value + (110 * level).floor()[:, None, None]).clamp_max(255)
    return torch.where(value < 128, lifted, value)


POLICIES: dict[str, Policy] = {
    "fixmatch": Policy(
        tables={
            "autocontrast": lambda histogram, level: value_tables.autocontrast(histogram),
            "equalize": lambda histogram, level: value_tables.equalize(histogram),
            # The highest 4 bits are kept at level 0, and all 8 at the top.
            "posterize": lambda histogram, level: value_tables.posterize(4 + (4 * level).floor()),
            "solarize": solarize,
        },
        factors=lambda drawn: 1 + drawn.sign * (0.05 + 0.9 * drawn.level),
        translation=0.3,
        identity=True,
    ),
    "increasing": Policy(
        tables={
            "autocontrast": lambda histogram, level: value_tables.autocontrast(histogram),
            "equalize": lambda histogram, level: value_tables.equalize(histogram),
            "invert": invert,
            # The highest 4 bits are kept at level 0, and none at the top.
            "posterize": lambda histogram, level: value_tables.posterize(4 - (4 * level).floor()),
            "solarize": solarize,
            "solarize_add": solarize_add,
        },
        factors=lambda drawn: 1 + drawn.sign * 0.9 * drawn.level,
        translation=0.45,
    ),
}
