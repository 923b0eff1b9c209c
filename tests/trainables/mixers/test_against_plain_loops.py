"""Each mixer agrees with a loop over the rows, written from its paper, that makes the same random draws."""

import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from tests.trainables.methods.small import pixels
from tests.trainables.seeded import seeded
from trainables.mixers.boxes import uniform_pixels
from trainables.mixers.cutmix import cutmix
from trainables.mixers.fmix import draw as draw_fmix
from trainables.mixers.fmix import fmix
from trainables.mixers.gridmix import draw_grids, gridmix
from trainables.mixers.kimage import dcutmix, dmixup
from trainables.mixers.mixed import Mixed, beta, dirichlet, partners
from trainables.mixers.mixup import mixup
from trainables.mixers.mixup_cutmix import mixup_cutmix
from trainables.mixers.resizemix import resizemix
from trainables.mixers.saliency import fine_grained_saliency, misread_saliency
from trainables.mixers.saliency_dcutmix import saliency_dcutmix
from trainables.mixers.saliencymix import saliencymix
from trainables.mixers.smoothmix import smoothmix

B, C, H, W = 24, 3, 16, 12
ROUNDING = H * W * torch.finfo(torch.float32).eps  # in a sum of H * W numbers of order 1
each_seed = pytest.mark.parametrize("seed", range(2))


def check(mixed: Mixed, rows: list[Tensor], partner: Tensor, lam: list[float]) -> None:
    torch.testing.assert_close(mixed.images, torch.stack(rows))
    assert torch.equal(mixed.sources[:, 1], partner)
    torch.testing.assert_close(mixed.weights[:, 0], torch.tensor(lam, dtype=torch.float32), rtol=0, atol=ROUNDING)


def box_around(row: int, column: int, height: int, width: int) -> tuple[slice, slice]:
    """Return the clipped box of CutMix's official code: half of each side, in whole pixels, on either hand."""
    rows = slice(max(row - height // 2, 0), min(row + height // 2, H))
    return rows, slice(max(column - width // 2, 0), min(column + width // 2, W))


def area(box: tuple[slice, slice]) -> int:
    return (box[0].stop - box[0].start) * (box[1].stop - box[1].start)


@each_seed
def test_mixup(seed):
    images, rng = pixels(B), seeded(seed)
    lam, partner = beta(0.7, B, rng), partners(B, rng)
    rows = [lam[b] * images[b] + (1 - lam[b]) * images[partner[b]] for b in range(B)]
    check(mixup(images, seeded(seed), alpha=0.7), rows, partner, lam.tolist())


def cut_rows(
    images: Tensor,  # (B, C, H, W)
    partner: Tensor,  # (B,)
    lam: Tensor,  # (B,)
    row: Tensor,  # (B,) of the centres of the boxes
    column: Tensor,  # (B,)
) -> tuple[list[Tensor], list[float]]:
    """Return CutMix's images, and the share of each that is its own."""
    rows, kept = [], []
    for b in range(B):
        side = math.sqrt(1 - lam[b].item())
        box = box_around(int(row[b]), int(column[b]), int(H * side), int(W * side))
        image = images[b].clone()
        image[:, *box] = images[partner[b]][:, *box]
        rows.append(image)
        kept.append(1 - area(box) / (H * W))
    return rows, kept


@each_seed
def test_cutmix(seed):
    images, rng = pixels(B), seeded(seed)
    lam = beta(0.7, B, rng)
    row, column = uniform_pixels(B, H, W, rng)
    partner = partners(B, rng)
    rows, kept = cut_rows(images, partner, lam, row, column)
    check(cutmix(images, seeded(seed), alpha=0.7), rows, partner, kept)


@each_seed
@pytest.mark.parametrize("per_batch", [False, True])
@pytest.mark.parametrize("saliency_input", ["uint8", "raw_float"])
def test_saliencymix(seed, per_batch, saliency_input):
    """CutMix's box around the most salient pixel of the partner or, for a whole batch, of row 0's partner."""
    images, rng = pixels(B), seeded(seed)
    lam = beta(0.7, 1 if per_batch else B, rng).expand(B)
    partner = partners(B, rng)
    released = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)
    mean, std = (torch.tensor([value / 255 for value in of_channels])[:, None, None] for of_channels in released)
    seen = fine_grained_saliency(images) if saliency_input == "uint8" else misread_saliency((images - mean) / std)
    salient = [divmod(int(seen[partner[0 if per_batch else b]].argmax()), W) for b in range(B)]
    rows, kept = cut_rows(images, partner, lam, *torch.tensor(salient).T)
    mixed = saliencymix(images, seeded(seed), alpha=0.7, per_batch=per_batch, saliency_input=saliency_input)
    check(mixed, rows, partner, kept)


@each_seed
@pytest.mark.parametrize(
    ("interpolation", "scope"), [("nearest", (0.1, 0.8)), ("bilinear", (0.1, 0.8)), ("nearest", (0.3, 0.5))]
)
def test_resizemix(seed, interpolation, scope):
    """The whole partner is resized into the clipped box, here by PyTorch's own resizing of one image."""
    images, rng = pixels(B), seeded(seed)
    tau, (low, high) = beta(0.7, B, rng), scope
    again = low + (high - low) * torch.rand(B, generator=rng)
    row, column = uniform_pixels(B, H, W, rng)
    partner = partners(B, rng)
    rows, kept = [], []
    for b in range(B):
        side = tau[b].item() if low <= tau[b] <= high else again[b].item()
        box = box_around(int(row[b]), int(column[b]), int(H * side), int(W * side))
        image = images[b].clone()
        if area(box):
            image[:, *box] = F.interpolate(images[partner[b]][None], image[0, *box].shape, mode=interpolation)[0]
        rows.append(image)
        kept.append(1 - area(box) / (H * W))
    check(resizemix(images, seeded(seed), alpha=0.7, scope=scope, interpolation=interpolation), rows, partner, kept)


@each_seed
def test_fmix(seed):
    images = pixels(B)
    noise, kept, lam, partner = draw_fmix(images, seeded(seed), alpha=0.7, decay=2.0, per_batch=False)
    assert torch.equal(lam, beta(0.7, B, seeded(seed)))
    rows, shares = [], (kept / (H * W)).tolist()
    for b in range(B):
        size = lam[b].item() * H * W
        assert kept[b] in (math.floor(size), math.ceil(size))
        own = noise[b].flatten().argsort(descending=True)[: int(kept[b])]
        image = images[partner[b]].flatten(1).clone()
        image[:, own] = images[b].flatten(1)[:, own]
        rows.append(image.view(C, H, W))
    check(fmix(images, seeded(seed), alpha=0.7, decay=2.0), rows, partner, shares)


@each_seed
def test_gridmix(seed):
    images, rng = pixels(B), seeded(seed)
    lam = beta(0.7, B, rng)
    grids = draw_grids(lam, (H, W), rng, holes=(2, 6), area=(0.5, 1.0), aspect=(0.5, 2.0))
    partner = partners(B, rng)
    rows, kept = [], []
    for b in range(B):
        top, left, height, width, cell, hole = (int(part[b]) for part in grids)
        assert 0 <= top <= top + height <= H
        assert 0 <= left <= left + width <= W
        assert hole == min(max(int(cell * math.sqrt(1 - lam[b].item())), 1), cell - 1)
        image, seen = images[b].clone(), 0
        for y, x in product(range(top, top + height, cell), range(left, left + width, cell)):
            box = slice(y, min(y + hole, top + height)), slice(x, min(x + hole, left + width))
            image[:, *box] = images[partner[b]][:, *box]
            seen += area(box)
        rows.append(image)
        kept.append(1 - seen / (H * W))
    check(gridmix(images, seeded(seed), alpha=0.7), rows, partner, kept)


@each_seed
def test_smoothmix(seed):
    images, rng = pixels(B), seeded(seed)
    row, column = uniform_pixels(B, H, W, rng)
    sigma = 0.25 + 0.25 * torch.rand(B, generator=rng)
    partner = partners(B, rng)
    rows, kept = [], []
    for b in range(B):
        gaussian = torch.empty(H, W)
        for y, x in product(range(H), range(W)):
            distance = ((y - int(row[b])) / H) ** 2 + ((x - int(column[b])) / W) ** 2
            gaussian[y, x] = math.exp(-distance / (2 * sigma[b].item() ** 2))
        rows.append(images[b] * (1 - gaussian) + images[partner[b]] * gaussian)
        kept.append(1 - gaussian.mean().item())
    check(smoothmix(images, seeded(seed)), rows, partner, kept)


def k_image_draws(seed: int, alpha: float, count: int, rows: int = B) -> tuple[Tensor, list[Tensor], Generator]:
    rng = seeded(seed)
    phi = dirichlet(alpha, (rows, count), rng).expand(B, -1)
    return phi, [torch.arange(B), *(partners(B, rng) for _ in range(count - 1))], rng


@each_seed
def test_dmixup(seed):
    images = pixels(B)
    phi, sources, _ = k_image_draws(seed, 0.7, 4)
    mixed = dmixup(images, seeded(seed), alpha=0.7, num_images=4)
    rows = [sum(phi[b, k] * images[sources[k][b]] for k in range(4)) for b in range(B)]
    torch.testing.assert_close(mixed.images, torch.stack(rows))
    assert torch.equal(mixed.weights, phi)
    assert torch.equal(mixed.sources, torch.stack(sources, dim=1))


@each_seed
@pytest.mark.parametrize("per_batch", [False, True])
@pytest.mark.parametrize(
    ("mixer", "alpha", "paste"),
    [
        *((dcutmix, alpha, None) for alpha in (0.2, 3.0)),
        *((saliency_dcutmix, 0.7, paste) for paste in ("same", "random_in_parent")),
    ],
)
def test_nested_patches(seed, per_batch, mixer, alpha, paste):
    """Algorithm 1 of the paper: v_k = phi_k / prod (1 - v_j); each patch sqrt(1 - v_k) of the former one's sides.

    DCutMix pastes a patch at random inside the former one, and cuts it there. Saliency-DCutMix cuts it around the most
    salient pixel, and pastes it there, shifted to where there is room, or at random.
    """
    images, count, rows = pixels(B), 4, 1 if per_batch else B
    phi, sources, rng = k_image_draws(seed, alpha, count, rows)
    offsets = [[torch.rand(rows, generator=rng).expand(B) for _ in range(2)] for _ in range(count - 1)]
    salient = [divmod(int(of.argmax()), W) for of in fine_grained_saliency(images)]
    options = {} if paste is None else {"paste": paste}
    mixed = mixer(images, seeded(seed), alpha=alpha, num_images=count, per_batch=per_batch, **options)
    for b in range(B):
        image, start, sides, weights, left = images[b].clone(), (0, 0), (H, W), [], 1.0
        for k in range(1, count):
            v = min(phi[b, k - 1].item() / (left + 1e-10), 1.0)
            left *= 1 - v
            source, new, cut, place = int(sources[k][b]), [], [], []
            centre = salient[int(sources[k][0]) if per_batch else source]
            for axis, whole in enumerate((H, W)):
                side = round(sides[axis] * math.sqrt(1 - v))
                first, last = centre[axis] - side // 2, start[axis] + sides[axis] - side
                inside = min(max(first, start[axis]), last)
                drawn = start[axis] + int(offsets[k - 1][axis][b].item() * (sides[axis] - side + 1))
                in_image = min(max(first, 0), whole - side)
                new.append(side)
                place.append(inside if paste == "same" else drawn)
                cut.append({None: drawn, "same": inside, "random_in_parent": in_image}[paste])
            here, there = ([slice(at, at + side) for at, side in zip(box, new, strict=True)] for box in (place, cut))
            image[:, *here] = images[source][:, *there]
            weights.append((sides[0] * sides[1] - new[0] * new[1]) / (H * W))
            start, sides = (place[0], place[1]), (new[0], new[1])
        weights.append(sides[0] * sides[1] / (H * W))
        assert torch.equal(mixed.images[b], image)
        torch.testing.assert_close(mixed.weights[b], torch.tensor(weights), rtol=0, atol=ROUNDING)
    assert torch.equal(mixed.sources, torch.stack(sources, dim=1))
    assert (mixed.weights - phi).abs().mean() < 0.03  # whole pixels


@each_seed
def test_mixup_cutmix(seed):
    """CutMix's draws come first, then mixup's lambda, and last which of the two a row gets."""
    images, rng = pixels(B), seeded(seed)
    lam = beta(0.7, B, rng)
    row, column = uniform_pixels(B, H, W, rng)
    partner = partners(B, rng)
    blended = beta(0.4, B, rng)
    cut = torch.rand(B, generator=rng) < 0.6
    rows, kept = cut_rows(images, partner, lam, row, column)
    for b in range(B):
        if not cut[b]:
            rows[b] = blended[b] * images[b] + (1 - blended[b]) * images[partner[b]]
            kept[b] = blended[b].item()
    mixed = mixup_cutmix(images, seeded(seed), alpha=0.7, mixup_alpha=0.4, cutmix_share=0.6)
    check(mixed, rows, partner, kept)
