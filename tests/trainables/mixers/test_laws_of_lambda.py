"""Lambda is distributed as it should be: against SciPy's laws, or a plain simulation of what the paper draws.

The draws whose laws are known here are those of ``test_against_plain_loops``, which computes the other mixers by them.
"""

import math

import numpy as np
import pytest
import torch
from numpy.random import default_rng
from numpy.typing import NDArray
from scipy import stats
from torch import Generator

from trainables.mixers import MIXERS
from trainables.mixers.mixed import beta

B, H, W = 4096, 16, 12
DRAWS = 100_000
Law = NDArray[np.float64]
PIN = "constraints.txt pins torch 2.15, whose torch._standard_gamma takes a generator: see trainables/mixers/mixed.py"


def lambdas(name: str, **options: object) -> Law:
    images = torch.rand(B, 3, H, W, generator=Generator().manual_seed(3))
    return MIXERS[name](images, Generator().manual_seed(0), **options).weights[:, 0].double().numpy()


def rounded(shares: Law) -> Law:
    """Round far finer than a pixel: equal counts of pixels become equal shares, in float32 and in float64."""
    return np.round(shares, 6)


def fmix_law(alpha: float) -> Law:
    rng = default_rng(1)
    pixels = rng.beta(alpha, alpha, DRAWS) * H * W
    return np.where(rng.random(DRAWS) < 0.5, np.ceil(pixels), np.floor(pixels)) / (H * W)


def gridmix_law(alpha: float) -> Law:
    rng = default_rng(1)
    shares = []
    for _ in range(4_000):
        lam, holes = rng.beta(alpha, alpha), int(rng.integers(2, 7))
        area, aspect = rng.uniform(0.5, 1), rng.uniform(0.5, 2)
        width = int(math.sqrt(int(H * W * area) / aspect))
        height, width = min(int(width * aspect), H), min(width, W)
        cell = math.ceil(width / min(holes, width // 2))
        hole = min(max(int(cell * math.sqrt(1 - lam)), 1), cell - 1)
        covered = [sum(min(hole, side - at) for at in range(0, side, cell)) for side in (height, width)]
        shares.append(1 - covered[0] * covered[1] / (H * W))
    return np.array(shares)


def attentivemix_law(alpha: float) -> Law:
    """Return the law of a map of one cell a pixel, at OpenMixup's beta of 8."""
    return np.maximum(np.floor(default_rng(1).beta(alpha, 8, DRAWS) * H * W), 1) / (H * W)


OF_8 = {"partner_alpha": 8.0, "attention": torch.rand(B, H, W, generator=Generator().manual_seed(4))}
LAWS = [("fmix", fmix_law, {}), ("gridmix", gridmix_law, {}), ("attentivemix", attentivemix_law, OF_8)]


@pytest.mark.parametrize(("name", "law_of", "options"), LAWS)
def test_lambda_follows_the_simulated_law_of_its_alpha(name, law_of, options):
    laws = {alpha: rounded(law_of(alpha)) for alpha in (0.2, 2.0)}
    for alpha, other in ((0.2, 2.0), (2.0, 0.2)):
        drawn, law = rounded(lambdas(name, alpha=alpha, **options)), laws[alpha]
        assert stats.ks_2samp(drawn, law).pvalue > 0.01
        assert drawn.mean() == pytest.approx(law.mean(), abs=4 * law.std() / math.sqrt(B))
        assert stats.ks_2samp(drawn, laws[other]).pvalue < 0.01


@pytest.mark.parametrize(("alpha", "draws"), [(0.2, B), (1.0, DRAWS), (2.0, DRAWS)])
def test_lambda_is_beta(alpha, draws):
    """Few draws leave room for a parameter of the gamma law that is off by a quarter; of many at 0.2 some are 1."""
    drawn = beta(alpha, draws, Generator().manual_seed(0)).double().numpy()
    assert stats.kstest(drawn, stats.beta(alpha, alpha).cdf).pvalue > 0.01


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_of_dmixup_are_dirichlet(alpha):
    """Each share of a symmetric Dirichlet distribution of K is Beta(alpha, (K - 1) alpha)."""
    images = torch.rand(B, 1, 2, 3)
    weights = MIXERS["dmixup"](images, Generator().manual_seed(0), alpha=alpha, num_images=4).weights.double()
    for share in weights.T.numpy():
        assert stats.kstest(share, stats.beta(alpha, 3 * alpha).cdf).pvalue > 0.01


def test_cutmix_keeps_as_much_as_the_official_code():
    """The official code at 32x32 has a known mean, and a known share of images that keep more than 0.99."""
    for alpha, mean, whole in ((0.2, 0.72, 0.23), (1.0, 0.70, 0.02)):
        images = torch.zeros(B, 1, 32, 32)
        lam = MIXERS["cutmix"](images, Generator().manual_seed(0), alpha=alpha).weights[:, 0]
        assert lam.mean().item() == pytest.approx(mean, abs=0.015)
        assert (lam > 0.99).float().mean().item() == pytest.approx(whole, abs=0.015)


def test_the_smallest_alpha_takes_one_of_the_two_images_whole_and_the_largest_half_of_each():
    for alpha in (5e-324, 1e-300, 1e-30):
        found = lambdas("mixup", alpha=alpha)
        assert set(found) == {0.0, 1.0}
        assert abs(found.mean() - 0.5) < 4 * 0.5 / math.sqrt(B)
    assert set(lambdas("mixup", alpha=1e38)) == {0.5}


def test_gamma_is_drawn_from_a_generator():
    shape = torch.full((4000,), 2.0)
    try:
        first, again = (torch._standard_gamma(shape, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    except (AttributeError, TypeError) as error:
        raise AssertionError(PIN) from error
    assert torch.equal(first, again), PIN
    # The mean of Gamma(2, 1) is 2 with a standard error of sqrt(2 / 4000); five of those.
    assert abs(first.mean().item() - 2) < 5 * (2 / 4000) ** 0.5, PIN
