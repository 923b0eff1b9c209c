"""The named options of the mixers of pixels, by which released codes differ, and choices that the papers leave open."""

import math

import pytest
import torch

from tests.trainables.methods.small import pixels
from tests.trainables.seeded import seeded
from trainables.mixers import MIXERS
from trainables.mixers.cutout import cutout
from trainables.mixers.gridmix import draw_grids, gridmix
from trainables.mixers.mixed import beta
from trainables.mixers.smoothmix import smoothmix

B, H, W = 16, 16, 12


def test_smoothmix_legacy_label_gives_the_own_label_the_share_of_the_partner():
    images = pixels(B)
    right, legacy = smoothmix(images, seeded()), smoothmix(images, seeded(), legacy_label=True)
    assert torch.equal(right.images, legacy.images)
    assert torch.equal(right.sources, legacy.sources)
    torch.testing.assert_close(right.weights, legacy.weights.flip(1))
    assert (right.weights[:, 0] - legacy.weights[:, 0]).abs().min() > 0
    many = smoothmix(torch.zeros(4000, 1, 32, 32), seeded()).weights[:, 1]
    assert many.mean().item() == pytest.approx(0.43, abs=0.01)  # the known mean of G
    assert many.min() > 0.11
    assert many.max() < 0.75


@pytest.mark.parametrize(("length", "per_batch"), [(6, False), (5, False), (6, True), (40, False)])
def test_cutout_blanks_one_clipped_square(length, per_batch):
    images = pixels(B) * 0.9
    mixed = cutout(images, seeded(), length=length, fill=1.0, per_batch=per_batch)
    rng, draws = seeded(), 1 if per_batch else B
    rows, columns = (torch.randint(side, (draws,), generator=rng).expand(B).tolist() for side in (H, W))
    for b in range(B):
        expected = images[b].clone()
        top, left = rows[b] - length // 2, columns[b] - length // 2
        expected[:, max(top, 0) : top + length, max(left, 0) : left + length] = 1.0
        assert torch.equal(mixed.images[b], expected)
    assert torch.equal(mixed.weights, torch.ones(B, 1))


def test_cutout_fills_with_the_mean_colour_of_the_batch():
    images = pixels(B)
    mixed = cutout(images, seeded(), length=6)
    blank = (mixed.images != images).all(dim=1)
    assert 9 * B <= blank.sum() <= 36 * B
    colours = mixed.images.movedim(1, -1)[blank]
    torch.testing.assert_close(colours, images.mean(dim=(0, 2, 3)).expand_as(colours))


def test_gridmix_draws_from_the_fewest_to_the_most_holes_across_and_leaves_a_pixel_of_every_cell():
    everything = {"holes": (2, 6), "area": (1.0, 1.0), "aspect": (1.0, 1.0)}
    whole = draw_grids(torch.tensor([0.0]).expand(600), (64, 64), seeded(), **everything)
    assert torch.equal(whole.hole, whole.cell - 1)
    assert (draw_grids(torch.tensor([1.0]).expand(600), (64, 64), seeded(), **everything).hole == 1).all()
    for across in range(2, 7):
        assert 80 < (whole.cell == math.ceil(64 / across)).sum() < 160
    assert whole.cell.unique().numel() == 5


def test_gridmix_of_cells_takes_each_cell_from_one_image():
    images = torch.arange(512.0)[:, None, None, None].expand(512, 1, H, W)
    mixed = gridmix(images, seeded(), pattern="cells", holes=(4, 4))
    cells = mixed.images[:, 0].unflatten(1, (4, 4)).unflatten(3, (4, 3)).movedim(3, 2)  # (B, 4, 4, 4, 3)
    assert torch.equal(cells, cells[..., :1, :1].expand_as(cells))
    own = (cells[..., 0, 0] == torch.arange(512.0)[:, None, None]).float().mean(dim=(1, 2))
    moved = mixed.sources[:, 1] != mixed.sources[:, 0]
    torch.testing.assert_close(mixed.weights[moved, 0], own[moved])
    drawn = beta(1.0, 512, seeded())
    assert torch.corrcoef(torch.stack((drawn, mixed.weights[:, 0])))[0, 1] > 0.9  # kept with probability lambda
    assert own.mean().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("lam_per_batch", [False, True])
def test_one_lambda_may_be_drawn_for_the_whole_batch_by_mixers_whose_masks_are_each_rows_own(lam_per_batch):
    images, alike = pixels(B), torch.ones(B, H, W)
    given: dict[str, dict[str, object]] = {
        "attentivemix": {"attention": torch.rand(B, 4, 3, generator=seeded(1))},
        "puzzlemix": {"saliency": alike, "beta": 0.0, "eta": 1.0, "num_labels": 9, "transport": False},
        **{f"alignmix {other}": {"alternate": other} for other in ("nothing", "mixup", "manifoldmix")},
    }
    for name, options in given.items():
        mixer = name.split()[0]
        if mixer == "alignmix":
            options |= {"encode": lambda images, depth: images[..., :2, :2], "num_stages": 4}
        drawn = set()
        for seed in range(6):
            lam = MIXERS[mixer](images, seeded(seed), lam_per_batch=lam_per_batch, **options).weights[:, 0].unique()
            assert (len(lam) == 1) == lam_per_batch, name
            drawn.add(lam[0].item())
        assert len(drawn) > 1, name  # another batch has another


@pytest.mark.parametrize("per_batch", [False, True])
@pytest.mark.parametrize("name", ["cutmix", "saliencymix", "resizemix", "fmix", "mixup_cutmix"])
def test_a_drawn_label_is_lambda_before_the_box_was_clipped(name, per_batch):
    images, rows = pixels(B), 1 if per_batch else B
    area, drawn = (MIXERS[name](images, seeded(), per_batch=per_batch, label=label) for label in ("area", "drawn"))
    assert torch.equal(area.images, drawn.images)
    assert torch.equal(area.sources, drawn.sources)
    lam = beta(1.0, rows, g := seeded())
    if name == "resizemix":  # tau is the side of the box
        again = 0.1 + 0.7 * torch.rand(rows, generator=g)
        lam = 1 - torch.where((lam < 0.1) | (lam > 0.8), again, lam).square()
    differs = area.weights[:, 0] != drawn.weights[:, 0]
    cut = differs if name == "mixup_cutmix" else slice(None)
    assert torch.equal(drawn.weights[cut, 0], lam.expand(B)[cut])
    assert differs.any()
