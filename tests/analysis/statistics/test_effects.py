"""The effects of a factorial design come out as they were put in, and by hand."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from analysis.statistics.effects import design_runs, factorial_effects


def runs_of(seeds, coefficients, names=("x1", "x2"), levels=(-1, 1), noise=0.0, seed=0):
    """Return rows of y = mu + the sum of coefficient times the product of its factors + the seed's luck + noise."""
    rng = np.random.default_rng(seed)
    luck, rows = rng.normal(0, 5, seeds), []
    for values in itertools.product(levels, repeat=len(names)):
        x = dict(zip(names, values, strict=True))
        y = 70 + sum(size * math.prod(x[name] for name in term) for term, size in coefficients.items())
        rows += [{**x, "seed": s, "top1": y + luck[s] + rng.normal(0, noise)} for s in range(seeds)]
    return pd.DataFrame(rows)


TRUE = {("x1",): 1.5, ("x2",): -0.5, ("x1", "x2"): 0.25}


def test_effects_come_out_as_they_were_put_in():
    effects = factorial_effects(runs_of(8, TRUE), "top1", ["x1", "x2"])
    assert effects.index.name == "effect"
    assert list(effects.columns) == ["estimate", "low", "high", "p", "p_family"]
    assert effects["estimate"].to_dict() == pytest.approx({"x1": 1.5, "x2": -0.5, "x1 × x2": 0.25})
    assert effects["p_family"].tolist() == [2 / 2**8] * 3
    backwards = factorial_effects(runs_of(8, TRUE)[::-1], "top1", ["x1", "x2"])
    assert backwards["estimate"].tolist() == pytest.approx([1.5, -0.5, 0.25])
    names = ["x1", "x2", "x3"]
    three = factorial_effects(runs_of(2, {("x1",): 2.0, tuple(names): 0.5}, names), "top1", names)
    assert three["estimate"].tolist() == pytest.approx([2, 0, 0, 0, 0, 0, 0.5])


def test_a_factor_that_changes_nothing_has_no_effect_in_whatever_order_its_runs_are_added():
    runs = runs_of(8, TRUE, noise=1.0, seed=4)
    runs["top1"] = np.tile(runs["top1"][:16], 2)
    effects = factorial_effects(runs.sort_values("seed", kind="stable"), "top1", ["x1", "x2"])
    assert effects["p_family"].tolist() == [1, 2 / 2**7, 1]


def test_the_effects_of_two_factors_by_hand():
    # Two seeds; off-off, off-on, on-off, on-on: 1, 2, 4, 9 and 2, 3, 4, 7. First factor: (4 + 9 - 1 - 2) / 2 = 5 and
    # (4 + 7 - 2 - 3) / 2 = 3. Second: (2 + 9 - 1 - 4) / 2 = 3 and 2. Interaction: (9 - 4) - (2 - 1) = 4 and 2.
    off, on = "without", "with"  # in the order of the runs, not of the alphabet
    values = {(off, off): (1, 2), (off, on): (2, 3), (on, off): (4, 4), (on, on): (9, 7)}
    rows = [(*levels, seed, y) for levels, ys in values.items() for seed, y in enumerate(ys)]
    runs = pd.DataFrame(rows, columns=["lam", "s", "seed", "top1"])
    effects = factorial_effects(runs, "top1", ["lam", "s"])
    assert effects["estimate"].to_dict() == {"lam": 4, "s": 2.5, "lam × s": 3}
    assert effects.loc["lam", ["low", "high"]].tolist() == pytest.approx([4 - 12.706205, 4 + 12.706205])  # the sd is √2
    loaded = runs.rename(columns={"lam": "factor.lam", "s": "factor.s", "top1": "metric.top1"})
    pd.testing.assert_frame_equal(factorial_effects(loaded, "top1", ["lam", "s"]), effects)
    assert effects["p"].tolist() == [0.5] * 3


def test_the_effects_are_one_family():
    """The first effect is 1 in all six seeds, the second 1 in five and -1 in one: test_family.py has both p by hand."""
    cells = itertools.product((-1, 1), (-1, 1), range(6))
    rows = [(x1, x2, seed, 70.0 + x1 + (x2 if seed else -x2)) for x1, x2, seed in cells]
    effects = factorial_effects(pd.DataFrame(rows, columns=["x1", "x2", "seed", "top1"]), "top1", ["x1", "x2"])
    assert effects["p_family"].tolist() == [4 / 64, 14 / 64, 1]
    assert effects["p"].tolist() == [2 / 64, 14 / 64, 1]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_seed_that_lacks_an_arm_or_of_which_one_has_diverged_is_not_counted(value):
    runs = runs_of(8, TRUE, noise=0.1)
    runs.loc[3, "top1"] = value
    whole = factorial_effects(runs[runs["seed"] != runs["seed"][3]], "top1", ["x1", "x2"])
    pd.testing.assert_frame_equal(factorial_effects(runs, "top1", ["x1", "x2"]), whole)


def test_the_arms_of_a_plan():
    signs = {"on top": {"lam": 1, "s": 1}, "base": {"lam": -1, "s": -1}, "+ lam": {"lam": 1, "s": -1}}
    signs["+ s"] = {"lam": -1, "s": 1}
    gains = {"base": 0.0, "+ lam": 2.0, "+ s": 1.0, "on top": 3.5, "control": 9.0}
    rows = [{"arm": arm, "seed": s, "metric.top1": 70 + s + gain} for arm, gain in gains.items() for s in range(2)]
    runs = design_runs(pd.DataFrame(rows).sample(frac=1, random_state=0), {"terms": ["lam", "s"], "signs": signs})
    effects = factorial_effects(runs, "top1", ["lam", "s"])
    assert effects["estimate"].to_dict() == pytest.approx({"lam": 2.25, "s": 1.25, "lam × s": 0.5})


def test_errors_name_what_is_wrong():
    runs = runs_of(2, TRUE)
    with pytest.raises(ValueError, match="no column 'x3'; did you mean 'x1'"):
        factorial_effects(runs, "top1", ["x1", "x3"])
    with pytest.raises(ValueError, match=r"^effects are those of factors, got none: give the names of one or more"):
        factorial_effects(runs, "top5", [])
    with pytest.raises(ValueError, match="factor 'x1' needs two levels, got 1"):
        factorial_effects(runs[runs["x1"] == 1], "top1", ["x1", "x2"])
    with pytest.raises(ValueError, match="seed 0 has two runs of one combination of x1, x2"):
        factorial_effects(pd.concat([runs, runs.head(1)]), "top1", ["x1", "x2"])
