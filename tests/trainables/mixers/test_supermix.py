"""SuperMix: the masks serve their purpose, with a teacher that can be read."""

import pytest
import torch
from torch import Tensor

from tests.trainables.seeded import seeded
from trainables.mixers.mixed import Mixed, blend_by_masks, dirichlet, distinct_sources
from trainables.mixers.supermix import divergence, newton_step, spread_masks, supermix

B, L = 6, 6


def pixels() -> Tensor:
    """Image b is bright in channel b on its own patch of pixels, and nowhere else."""
    images = torch.zeros(B, L, 16, 12)
    for row in range(B):
        images[row, row, 4 * (row // 2) : 4 * (row // 2) + 8, 6 * (row % 2) : 6 * (row % 2) + 6] = 1.0
    return images


def teach(images: Tensor) -> Tensor:
    """Return logits with a class for each channel, by the amount of it."""
    return 60 * images.mean(dim=(2, 3))


def mix(**options: object) -> Mixed:
    return supermix(pixels(), seeded(), **{"teach": teach, **options})


@pytest.mark.parametrize("num_images", [2, 3])
def test_the_teacher_sees_every_source_in_a_mixed_row(num_images):
    mixed = mix(num_images=num_images)
    rows = (mixed.weights[:, 1:] > 0).all(dim=1)
    assert rows.sum() >= 4
    seen = teach(mixed.images).topk(num_images).indices.sort(dim=1).values
    assert torch.equal(seen[rows], mixed.sources.sort(dim=1).values[rows])
    torch.testing.assert_close(mixed.weights.sum(dim=1), torch.ones(B))


def test_a_row_without_masks_stays_as_it_is():
    def stubborn(images):
        """Recognise an image that is shown alone, and see class 0 in every mixture."""
        alone = (images.amax(dim=(1, 2, 3)) > 0.999).float()[:, None]
        return alone * teach(images) + (1 - alone) * (torch.eye(L)[0] * 50 + 0.01 * teach(images) * torch.eye(L)[0])

    mixed = mix(teach=stubborn, max_iter=2)
    stays = (mixed.sources > 1).all(dim=1)
    assert stays.any()
    assert torch.equal(mixed.images[stays], pixels()[stays])
    assert torch.equal(mixed.weights[stays], torch.tensor([1.0, 0.0]).expand(int(stays.sum()), 2))


def test_more_images_than_there_are_classes_may_be_mixed():
    assert (mix(num_images=L + 1).weights > 0).all()  # every class is among as many as there are


def test_sources_are_a_circle_of_all_rows():
    sources = distinct_sources(7, 3, seeded())
    assert torch.equal(sources[:, 0], torch.arange(7))
    assert (sources.sort(dim=0).values == torch.arange(7)[:, None]).all()
    assert all(len(set(row)) == 3 for row in sources.tolist())
    assert distinct_sources(1, 2, torch.Generator()).tolist() == [[0, 0]]


def test_masks_are_shares_and_blend_by_them():
    masks = torch.randn(B, 3, 4, 4, generator=seeded(1))
    spread = spread_masks(masks, torch.Size((16, 12)))
    torch.testing.assert_close(spread.sum(dim=1), torch.ones(B, 16, 12))
    sources = distinct_sources(B, 3, seeded(2))
    wanted = (spread[:, :, None] * pixels()[sources]).sum(dim=1)
    torch.testing.assert_close(blend_by_masks(pixels(), sources, spread), wanted)


def test_the_divergence_by_hand_counts_equal_classes_together():
    logits = torch.tensor([[0.5, 1.5, -1.0]])
    log_p = logits.log_softmax(dim=1)[0]
    two = 0.3 * (torch.tensor(0.3).log() - log_p[0]) + 0.7 * (torch.tensor(0.7).log() - log_p[2])
    found = divergence(logits, torch.tensor([[0, 2]]), torch.tensor([[0.3, 0.7]]))
    torch.testing.assert_close(found[0], two)
    torch.testing.assert_close(divergence(logits, torch.tensor([[1, 1]]), torch.tensor([[0.3, 0.7]]))[0], -log_p[1])


@pytest.mark.parametrize(("sigma", "taps"), [(1.0, 5), (2.0, 10), (0.1, 1)])
def test_a_step_is_the_smoothed_gradient_at_newtons_length(sigma, taps):
    gradient = torch.zeros(1, 1, 12, 12)
    gradient[0, 0, 5, 6] = 2.0
    row = torch.exp(-((torch.arange(taps) - (taps - 1) / 2) ** 2) / (2 * sigma**2))
    smooth = torch.zeros(12, 12)
    top, left = 5 - taps // 2, 6 - taps // 2
    smooth[top : top + taps, left : left + taps] = 2 * torch.outer(row, row) / row.sum() ** 2
    along = 2 * smooth[5, 6].item()
    # The longest step is of 2,000 times the smooth gradient, the shortest of a ten-thousandth.
    for loss, scale, length in ((5.0, 1.0, 5 / along), (5.0, 1e-5, 2e3), (1e-9, 1.0, 1e-4)):
        step = newton_step(torch.tensor([loss]), scale * gradient, sigma)[0, 0]
        torch.testing.assert_close(step, length * scale * smooth, rtol=1e-4, atol=0)


def test_the_first_step_falls_down_the_papers_loss():
    """The masks begin even, at a third each, where the term that makes them decide has a gradient too."""
    mixed = mix(num_images=3, max_iter=1, sparsity=2.0, mask_size=4)
    rng = seeded()
    shares, sources = dirichlet(3.0, (B, 3), rng), distinct_sources(B, 3, rng)
    masks = torch.zeros(B, 3, 4, 4, requires_grad=True)
    spread = spread_masks(masks, torch.Size((16, 12)))
    log_p = teach(blend_by_masks(pixels(), sources, spread)).log_softmax(dim=1)
    seen = teach(pixels()).argmax(dim=1)[sources]
    divergences = (shares * (shares.log() - log_p.gather(1, seen))).sum(dim=1)
    loss = divergences + 2.0 * (spread - spread**2).mean(dim=(1, 2, 3))
    (gradient,) = torch.autograd.grad(loss.sum(), masks)
    after = spread_masks(masks.detach() - newton_step(loss, gradient, 1.0), torch.Size((16, 12)))
    found = mixed.weights[:, 1] > 0
    assert found.any()
    torch.testing.assert_close(mixed.images[found], blend_by_masks(pixels(), sources, after)[found])
