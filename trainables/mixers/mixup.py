"""mixup: the convex combination of two images.

H. Zhang, M. Cisse, Y. N. Dauphin and D. Lopez-Paz, "mixup: Beyond Empirical Risk Minimization",
ICLR 2018, arXiv:1710.09412.
"""

from torch import Generator, Tensor

from trainables.mixers.mixed import Mixed, beta, blend, pair, partners


def mixup(images: Tensor, rng: Generator, *, alpha: float = 1.0, per_batch: bool = False) -> Mixed:
    """Replace every image by ``lam * image + (1 - lam) * partner``, with a lambda of its own.

    With ``per_batch`` there is one lambda for the whole batch, as in the official code.
    """
    size = len(images)
    lam, partner = beta(alpha, 1 if per_batch else size, rng), partners(size, rng)
    return pair(blend(images, partner, lam[:, None, None, None]), partner, lam)
