"""The logits that are kept of a test."""

import numpy as np

from trainables.evaluation import rounded


def test_rounded_logits_keep_the_largest_of_each_row():
    # Between 32 and 64 the numbers of float16 are 1/32 apart.
    logits = np.array([[33.001, 33.002, 0.1], [1e6, 2e6, -1e6], [0.0, 0.0, -1.0], [1.0, np.nan, 2.0]], dtype=np.float32)
    expected = [[33.0, 33.03125, 0.1], [65472.0, 65504.0, -65472.0], [2**-24, 0.0, -1.0], [1.0, np.nan, 2.0]]
    np.testing.assert_array_equal(rounded(logits), np.array(expected, dtype=np.float16))
