"""A study of five arms, the values of its runs, and its table."""

from tests.analysis.planned import tables_of

ARMS = ("baseline", "+ lam", "+ l_s", "+ l_u", "+ l_su")


def full(seeds=3, arms=ARMS):
    """Return a value for each arm and seed: each arm gains more over the baseline than the one before."""
    return {(arm, seed): 70.0 + seed + rank * (1 + seed / 10) for rank, arm in enumerate(arms) for seed in range(seeds)}


def level_of(values, seeds=3, arms=ARMS, change=lambda runs: runs):
    """Return the one table of the study, with some columns of its runs changed."""
    return tables_of(values, arms, seeds, change=change)[0]
