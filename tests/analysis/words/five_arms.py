"""A study of five arms, and the values of its runs."""

ARMS = ("baseline", "+ lam", "+ l_s", "+ l_u", "+ l_su")


def full(seeds=3, arms=ARMS):
    """Return a value for each arm and seed: each arm gains more over the baseline than the one before."""
    return {
        (arm, seed): 70.0 + seed + number * (1 + seed / 10) for number, arm in enumerate(arms) for seed in range(seeds)
    }
