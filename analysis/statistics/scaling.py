"""Brings numbers to a size whose squares a float holds: those beyond 1e154 are infinite, those below 1e-162 are zero.

A test of such numbers would compare infinity with infinity, and find a difference where there is none.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def scaled(values: ArrayLike, axis: int | None = -1) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return values divided by a power of two so that the largest lies between 1/2 and 1, and its exponent.

    Such a division is exact, so a quotient of results that grow with the values has the same bits as without it.

    Args:
        values: any shape; what is not finite stays so.
        axis: the axis along which values have one power in common; None for one power of all.

    Returns:
        The scaled values, and the exponents in a shape that fits them; 0 where no value is finite or above 0.
    """
    x = np.asarray(values, dtype=float)
    largest = np.max(np.abs(x), axis=axis, keepdims=True, initial=0.0, where=np.isfinite(x))
    exponents = np.frexp(largest)[1]
    return np.ldexp(x, -exponents), exponents
