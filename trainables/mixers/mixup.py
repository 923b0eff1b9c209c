"""mixup: the convex combination of two images.

H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: Beyond Empirical Risk Minimization",
ICLR 2018, arXiv:1710.09412.
"""

from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, beta, blend, pair, partners


def draw(size: int, rng: Generator, *, alpha: float, per_batch: bool) -> tuple[Tensor, Tensor]:
    """Return lambda, (B,) or (1,) float32, and the partner of each row, (B,) int64."""
    return beta(alpha, 1 if per_batch else size, rng), partners(size, rng)


def mixup(images: Tensor, rng: Generator, *, alpha: float = 1.0, per_batch: bool = False) -> Mixed:
    """Replace every image by ``lam * image + (1 - lam) * partner``, with a lambda of its own.

    Args:
        images: (B, C, H, W), left unchanged.
        rng: source of every random draw, on the device of ``images``.
        alpha: draws lambda ~ Beta(alpha, alpha).
        per_batch: one lambda for the whole batch, as the official code has it.

    Returns:
        A ``Mixed`` with K = 2.
    """
    lam, partner = draw(len(images), rng, alpha=alpha, per_batch=per_batch)
    mixed = blend(images, partner, lam[:, None, None, None])
    return pair(mixed, partner, lam)
