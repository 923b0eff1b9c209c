"""Lambda is distributed as it should be: against SciPy's laws, or a plain simulation of what the paper draws."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy import stats
from torch import Generator, Tensor

from trainables.mixers import MIXERS

B, H, W = 4096, 16, 12
DRAWS = 100_000
Law = NDArray[np.float64]


def lambdas(name: str, **options: object) -> Law:
    images = torch.rand(B, 3, H, W, generator=Generator().manual_seed(3))
    return MIXERS[name](images, Generator().manual_seed(0), **options).weights[:, 0].double().numpy()


def rounded(shares: Law) -> Law:
    """Round far finer than a pixel: equal counts of pixels become equal shares, in float32 and in float64."""
    return np.round(shares, 6)


def box_shares(scale: Law, row: NDArray[np.int64], column: NDArray[np.int64]) -> Law:
    """Return the share of an image outside a box of ``scale`` times its sides around a pixel, clipped."""
    half_height, half_width = (H * scale).astype(int) // 2, (W * scale).astype(int) // 2
    height = np.clip(row + half_height, 0, H) - np.clip(row - half_height, 0, H)
    width = np.clip(column + half_width, 0, W) - np.clip(column - half_width, 0, W)
    return 1 - height * width / (H * W)


def cutmix_law(alpha: float) -> Law:
    rng = default_rng(1)
    lam = rng.beta(alpha, alpha, DRAWS)
    return box_shares(np.sqrt(1 - lam), rng.integers(H, size=DRAWS), rng.integers(W, size=DRAWS))


def resizemix_law(alpha: float) -> Law:
    rng = default_rng(1)
    tau = rng.beta(alpha, alpha, DRAWS)
    tau = np.where((tau < 0.1) | (tau > 0.8), rng.uniform(0.1, 0.8, DRAWS), tau)
    return box_shares(tau, rng.integers(H, size=DRAWS), rng.integers(W, size=DRAWS))


def fmix_law(alpha: float) -> Law:
    rng = default_rng(1)
    pixels = rng.beta(alpha, alpha, DRAWS) * H * W
    return np.where(rng.random(DRAWS) < 0.5, np.ceil(pixels), np.floor(pixels)) / (H * W)


def gridmix_law(alpha: float) -> Law:
    rng = default_rng(1)
    shares = []
    for _ in range(8_000):
        lam, holes = rng.beta(alpha, alpha), int(rng.integers(2, 7))
        area, aspect = rng.uniform(0.5, 1), rng.uniform(0.5, 2)
        width = int(math.sqrt(int(H * W * area) / aspect))
        height, width = min(int(width * aspect), H), min(width, W)
        cell = math.ceil(width / min(holes, width // 2))
        hole = min(max(int(cell * math.sqrt(1 - lam)), 1), cell - 1)
        covered = [sum(min(hole, side - at) for at in range(0, side, cell)) for side in (height, width)]
        shares.append(1 - covered[0] * covered[1] / (H * W))
    return np.array(shares)


def smoothmix_law(alpha: float) -> Law:
    rng = default_rng(1)
    sigma = rng.uniform(0.25, 0.5, DRAWS)

    def along(side: int) -> Law:
        centre = rng.integers(side, size=DRAWS)
        return np.exp(-(((np.arange(side) - centre[:, None]) / (sigma[:, None] * side)) ** 2) / 2).mean(axis=1)

    return 1 - along(H) * along(W)


def dcutmix_law(alpha: float) -> Law:
    kept = 1 - default_rng(1).dirichlet([alpha] * 5, DRAWS)[:, 0]
    return 1 - np.round(H * np.sqrt(kept)) * np.round(W * np.sqrt(kept)) / (H * W)


LAWS: dict[str, Callable[[float], Law]] = {
    "cutmix": cutmix_law,
    "resizemix": resizemix_law,
    "fmix": fmix_law,
    "gridmix": gridmix_law,
    "smoothmix": smoothmix_law,
    "dcutmix": dcutmix_law,
    "saliency_dcutmix": dcutmix_law,
}


@pytest.mark.parametrize("name", LAWS)
def test_lambda_follows_the_simulated_law_of_its_alpha(name: str) -> None:
    laws = {alpha: rounded(LAWS[name](alpha)) for alpha in (0.2, 2.0)}
    for alpha, other in ((0.2, 2.0), (2.0, 0.2)):
        drawn, law = rounded(lambdas(name, alpha=alpha)), laws[alpha]
        assert stats.ks_2samp(drawn, law).pvalue > 0.01
        assert drawn.mean() == pytest.approx(law.mean(), abs=4 * law.std() / math.sqrt(B))
        if name != "smoothmix":  # alpha has no effect on it
            assert stats.ks_2samp(drawn, laws[other]).pvalue < 0.01


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.0])
def test_lambda_of_mixup_is_beta(alpha: float) -> None:
    assert stats.kstest(lambdas("mixup", alpha=alpha), stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_of_dmixup_are_dirichlet(alpha: float) -> None:
    """Each share of a symmetric Dirichlet distribution of K is Beta(alpha, (K - 1) alpha)."""
    images = torch.rand(B, 1, 2, 3)
    weights = MIXERS["dmixup"](images, Generator().manual_seed(0), alpha=alpha, num_images=4).weights.double()
    for share in weights.T.numpy():
        assert stats.kstest(share, stats.beta(alpha, 3 * alpha).cdf).pvalue > 0.01


def test_resizemix_of_alpha_1_draws_tau_from_the_papers_uniform_law() -> None:
    rng = default_rng(2)
    paper = box_shares(rng.uniform(0.1, 0.8, DRAWS), rng.integers(H, size=DRAWS), rng.integers(W, size=DRAWS))
    assert stats.ks_2samp(rounded(lambdas("resizemix")), rounded(paper)).pvalue > 0.01


def test_lambda_of_saliencymix_is_that_of_boxes_around_the_salient_pixel() -> None:
    """One grey pixel in each black image, away from the border, is the salient one: too dim to lighten the mean."""
    rng = default_rng(1)
    row, column = rng.integers(2, H - 2, size=B), rng.integers(2, W - 2, size=B)
    images = torch.zeros(B, 3, H, W)
    images[range(B), :, row, column] = 100 / 255
    drawn = MIXERS["saliencymix"](images, Generator().manual_seed(0)).weights[:, 0].double().numpy()
    law = box_shares(np.sqrt(1 - rng.beta(1, 1, B * 20)), np.tile(row, 20), np.tile(column, 20))
    assert stats.ks_2samp(rounded(drawn), rounded(law)).pvalue > 0.01
    assert (
        stats.ks_2samp(rounded(drawn), rounded(cutmix_law(1.0))).pvalue < 1e-6
    )  # centres near the border are rarer than CutMix's


def test_cutmix_keeps_as_much_as_the_official_code() -> None:
    """The official code at 32x32 has a known mean, and a known share of images that keep more than 0.99."""
    for alpha, mean, whole in ((0.2, 0.72, 0.23), (1.0, 0.70, 0.02)):
        images = torch.zeros(B, 1, 32, 32)
        lam: Tensor = MIXERS["cutmix"](images, Generator().manual_seed(0), alpha=alpha).weights[:, 0]
        assert lam.mean().item() == pytest.approx(mean, abs=0.015)
        assert (lam > 0.99).float().mean().item() == pytest.approx(whole, abs=0.015)


@pytest.mark.parametrize("alpha", [5e-324, 1e-300, 1e-30])
def test_the_smallest_alpha_takes_one_of_the_two_images_whole(alpha: float) -> None:
    found = lambdas("mixup", alpha=alpha)
    assert set(found) == {0.0, 1.0}
    assert abs(found.mean() - 0.5) < 4 * 0.5 / math.sqrt(B)


def test_the_largest_alpha_takes_half_of_each() -> None:
    assert set(lambdas("mixup", alpha=1e308)) == {0.5}
