"""The findings of a search: what it claims, what it warns of, and where it looks."""

import math

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial
from scipy import stats

from analysis.records.search_trials import SearchRecord, Tuned, position, unit_points
from analysis.search_report import importance_text
from analysis.statistics.importance import Landscape, comparable, explained_p, landscape
from analysis.statistics.search_findings import cautions, claims, explained
from mixlab.spec.search import INSTEAD
from tests.analysis.planned import tables_of
from tests.analysis.tuned_arms import ARMS, DISTRIBUTIONS, SPACE, peaked, points, trial, tuned


@pytest.fixture(autouse=True)
def few_parts(monkeypatch) -> None:
    monkeypatch.setattr("analysis.statistics.importance.PARTS", 2)  # each fits a forest


@pytest.mark.slow
def test_where_most_were_stopped_early_all_are_compared_at_the_epoch_that_all_reached():
    trials = []
    for place, params in enumerate(points(40, 0)):
        curve = {1: peaked(params), **({2: 100.0 - peaked(params)} if place < 3 else {})}
        ended = {"state": TrialState.COMPLETE if place < 3 else TrialState.PRUNED, "value": curve[max(curve)]}
        trials.append(create_trial(**ended, params=params, distributions=DISTRIBUTIONS, intermediate_values=curve))
    seen = landscape(tuned(trials))
    assert (seen.of.epoch, len(seen.of.trials)) == (1, 40)
    assert seen.importance.loc["zeta", "importance"] > 0.8
    assert seen.p == 0.001  # no shuffle of 999 explains as much
    enough = [trial(p, peaked(p)) for p in points(10, 1)]
    assert comparable(tuned([*enough, *trials[3:]])).epoch is None


@pytest.mark.parametrize(("zeta", "end"), [(0.0505, "low end is 0.05"), (1.98, "high end is 2")])
def test_a_best_on_the_border_is_warned_of(zeta, end):
    inside = [trial(p, 10.0) for p in points(10, 0)]
    at_border = [*inside, trial({"zeta": zeta, "alpha": 1.0}, 20.0)]
    safe = [*inside, trial({"zeta": 0.056, "alpha": 1.0}, 20.0)]  # 3 % of the range from its end
    record = SearchRecord({}, [tuned(at_border), tuned(safe, "mixup")])
    warned = [caution for caution in cautions(record, []) if "border" in caution]
    assert len(warned) == 1
    assert warned[0].startswith("cutmix: the best zeta")
    assert end in warned[0]


def test_the_border_of_a_range_in_steps_is_the_last_value_that_they_reach():
    spec = {"kind": "Float", "low": 0.1, "high": 1.0, "log": False, "step": 0.2}
    for best, warned in ((0.7, False), (0.9, True)):
        drawn = {"lr": FloatDistribution(0.1, 0.9, step=0.2)}  # as a search draws it
        arm = tuned([create_trial(value=1.0, params={"lr": best}, distributions=drawn)], space={"lr": spec})
        found = cautions(SearchRecord({}, [arm]), [])
        assert any("best lr, 0.9, lies on the border of the space, whose high end is 1" in c for c in found) == warned


@pytest.mark.parametrize(("failed", "warned"), [(4, False), (5, True)])
def test_a_quarter_of_failures_is_warned_of(failed, warned):
    some = [trial(p, peaked(p)) for p in points(15, 0)]
    some += [trial(p, None, TrialState.FAIL) for p in points(failed, 1)]
    some += [create_trial(state=TrialState.RUNNING)] * 5  # which may still fail
    found = cautions(SearchRecord({}, [tuned(some)]), [])
    assert any(f"{failed} of {15 + failed} trials failed" in caution for caution in found) == warned


def test_an_arm_that_an_earlier_start_tried_for_longer_is_warned_of():
    arms = [
        tuned([trial(p, peaked(p)) for p in points(count, 0)], arm) for arm, count in (("cutmix", 20), ("mixup", 10))
    ]
    tried_again = [*(trial(p, peaked(p)) for p in points(9, 1)), trial(points(1, 2)[0], None, TrialState.FAIL)]
    tried_again += [create_trial(value=1.0, params=tried_again[9].params, distributions=tried_again[9].distributions)]
    tried_again[10].set_user_attr(INSTEAD, 9)
    found = cautions(SearchRecord({"per_arm": 10}, [*arms, tuned(tried_again, "fmix")]), [])
    longer = [caution for caution in found if "budget gives" in caution]
    assert longer == ["cutmix: its best is of 20 trials, where the budget gives every arm 10."]


def test_too_few_trials_claim_no_importance():
    arm = tuned([trial(p, peaked(p)) for p in points(6, 0)])
    record, seen = SearchRecord({}, [arm]), landscape(arm)
    assert seen.importance.empty
    assert claims(record, {"cutmix": seen}, []) == []
    assert any("6 trials can be compared, too few to say" in caution for caution in cautions(record, []))


def test_arms_with_too_few_trials_are_named_in_one_sentence():
    counts = {"cutmix": 6, "mixup": 8, "fmix": 0, "resizemix": 10}
    arms = [tuned([trial(p, peaked(p)) for p in points(count, 0)], arm) for arm, count in counts.items()]
    found = cautions(SearchRecord({}, arms), [])
    assert not any("failed" in caution for caution in found)
    assert any(caution.startswith("No winner has been confirmed yet") for caution in found)
    assert not any("confirmed" in caution for caution in cautions(SearchRecord({}, [tuned([]), tuned([])]), []))
    (said,) = (caution for caution in found if "can be compared" in caution)
    assert said == (
        "cutmix, mixup, fmix: 0 to 8 trials each can be compared, too few to say how the parameters act; "
        "at least 10 would be needed."
    )


def test_equal_values_are_not_told_apart_by_the_order_of_their_trials():
    """Trials at the level of chance have one value, and a sampler moves through the space as it goes on."""
    later = [{"zeta": 0.06 * 1.07**number, "alpha": 0.2 + 0.1 * (number % 7)} for number in range(30)]
    arm = tuned([trial(params, 10.0 + (number == 15)) for number, params in enumerate(later)])
    # Every order of one larger value among 30 is as likely as any other: by hand, the share of the 30 places at which
    # the surface explains at least as much.
    design = np.column_stack([np.ones(30), *(c := unit_points(arm, arm.complete).to_numpy().T), *c**2, c[0] * c[1]])
    fitted = design @ np.linalg.pinv(design)  # its diagonal is the leverage of each trial
    exact = np.mean([fitted[place, place] >= fitted[15, 15] - 1e-9 for place in range(30)])
    assert explained_p(arm, comparable(arm), np.random.default_rng(0)) == pytest.approx(exact, abs=0.05)


def test_only_the_order_of_the_values_decides_whether_the_parameters_explain_them():
    noise, p = np.random.default_rng(1).normal(size=30), set()
    for values in (noise, np.exp(5 * noise)):
        arm = tuned([trial(point, value) for point, value in zip(points(30, 0), values.tolist(), strict=True)])
        p.add(explained_p(arm, comparable(arm), np.random.default_rng(0)))
    assert len(p) == 1
    few = tuned(arm.complete[:9])  # for a surface of 6 numbers
    assert math.isnan(explained_p(few, comparable(few), np.random.default_rng(0)))


@pytest.mark.parametrize(
    ("found", "tuned_arms", "sequential", "said"),
    [
        (0.0, ("sumix",), None, "sumix is equal to plain within 0.5, of which only sumix was tuned: +0.00"),
        (2.0, ("sumix",), None, "sumix is better than plain, of which only sumix was tuned: +2.00"),
        (2.0, (), None, "sumix is better than plain, neither tuned: +2.00"),
        (-2.0, ("plain", "sumix"), None, "sumix is worse than plain, both tuned: -2.00"),
        (-2.0, ("plain", "sumix"), {"budget": 8}, "sumix is no better than plain within 0.5, both tuned: -2.00"),
    ],
)
def test_a_claim_says_which_arms_were_tuned_and_an_answer_is_no_lack_of_budget(found, tuned_arms, sequential, said):
    gains = {"plain": lambda seed: 0.0, "sumix": lambda seed: found + 0.01 * (-1) ** seed}
    parts = {"delta": 0.5, "sequential": sequential}
    levels = tables_of(lambda arm, seed: 70.0 + seed + gains[arm](seed), tuple(gains), 8, {}, **parts)
    point = points(1, 0)[0]
    arms = [tuned([trial(point if arm in tuned_arms else {}, 60.0)], arm) for arm in gains]
    search, nothing = SearchRecord({}, arms), {arm.name: landscape(arm) for arm in arms}
    (claim,) = claims(search, nothing, levels)
    assert claim.startswith(f"{said} (95 % interval ")
    assert not any("too small to tell" in caution for caution in cautions(search, levels))


@pytest.mark.parametrize(
    ("arms", "seeds", "done", "sequential", "said"),
    [
        (ARMS, 3, 3, None, "the arms apart, if they differ at all: on 3 fresh seeds no arm differs from cutmix"),
        (ARMS, 3, 2, None, "Not every seed of the study is done yet"),  # the budget was blamed, as for what follows
        (ARMS, 20, 2, {"budget": 20}, ""),  # more seeds follow
        (ARMS[:1], 3, 3, None, ""),  # each table has a single arm, and nothing is compared
    ],
)
def test_where_no_arm_differs_on_all_fresh_seeds_the_budget_is_blamed(arms, seeds, done, sequential, said):
    def value(arm: str, seed: int) -> float | None:
        return 70.0 + seed + (arm == "mixup") if seed < done else None

    levels = tables_of(value, arms, seeds, {"mixer": ("fmix", "mixup")}, sequential=sequential)
    found = [tuned([trial(points(1, 0)[0], 60.0)], arm) for arm in ARMS]
    assert claims(SearchRecord({}, found), {arm.name: landscape(arm) for arm in found}, levels) == []
    about = [caution for caution in cautions(SearchRecord({}, found), levels) if "can be compared" not in caution]
    assert [said in caution for caution in about] == [True] * bool(said)


def test_the_budget_is_blamed_by_the_seeds_that_two_arms_share():
    levels = tables_of(lambda arm, seed: math.nan if (arm, seed) == (ARMS[0], 0) else 70.0 + seed, ARMS, 3, {})
    found = [tuned([trial(points(1, 0)[0], 60.0)], arm) for arm in ARMS]
    assert any("on 2 fresh seeds no arm differs" in caution for caution in cautions(SearchRecord({}, found), levels))


def test_a_search_that_went_on_after_a_confirmation_is_warned_of_first():
    looks = {"confirmed": [{"winners": {"a": [4, "p"]}, "seeds": [0]}]}
    levels = tables_of(lambda _, seed: 70.0 + seed, ARMS, 2, {}, looks=looks, winners={"a": [6, "q"]})
    search = SearchRecord({}, [tuned([trial(points(1, 0)[0], 60.0)])])
    first = cautions(search, levels)[0]
    assert first.startswith("The search went on after 1 confirmation had results (the best of 4 trials)")
    assert not any("went on" in caution for caution in cautions(search, []))


def test_an_importance_is_claimed_by_the_p_corrected_for_all_arms():
    seen = [Landscape(comparable(tuned([])), SOME, [], p) for p in (0.03, 0.04)]
    corrected = explained(dict(zip(ARMS, seen, strict=True)))
    assert list(corrected.values()) == [0.06, 0.06]  # Holm: twice 0.03, and no less for the other
    said = importance_text(seen[0], corrected["cutmix"])
    assert "has p = 0.030, 0.060 corrected for all arms (permutation). So nothing is claimed" in said
    assert "has p = 0.030 (permutation)." in importance_text(seen[0], 0.03)
    assert claims(SearchRecord({}, [tuned([], arm) for arm in ARMS]), dict(zip(ARMS, seen, strict=True)), []) == []
    none = landscape(tuned([trial(point, 10.0) for point in points(12, 0)]))
    assert importance_text(none, math.nan) == "All trials have the same value."


def test_parameters_under_a_condition_are_named_as_left_out():
    space = {"term": {"kind": "Choice", "values": ["s", "su"], "when": {}}, **SPACE}
    some = [trial({**p, "term": "su"}, peaked(p)) for p in points(20, 0)]
    some += [trial({"alpha": p["alpha"], "term": "s"}, 50.0) for p in points(20, 1)]
    seen = landscape(arm := tuned(some, space=space))
    assert unit_points(arm, some)["term=su"].tolist() == [1.0] * 20 + [0.0] * 20
    assert seen.left_out == ["zeta"]
    assert set(seen.importance.index) == {"term", "alpha"}


def test_positions_are_on_the_scale_of_the_range():
    assert position(SPACE["zeta"], math.sqrt(0.05 * 2)) == pytest.approx(0.5)
    assert position({"low": 1, "high": 3, "log": False}, 1.5) == pytest.approx(0.25)


@pytest.mark.slow
def test_a_decisive_parameter_is_claimed_with_its_interval(monkeypatch):
    monkeypatch.setattr("analysis.statistics.importance.PARTS", 10)
    arms = [tuned([trial(p, peaked(p)) for p in points(40, place)], arm) for place, arm in enumerate(ARMS)]
    seen = {arm.name: landscape(arm) for arm in arms}
    claimed = claims(SearchRecord({}, arms), seen, [])
    for arm in ARMS:
        table = seen[arm].importance
        assert list(table.index) == ["zeta", "alpha"]
        assert table["importance"].sum() == pytest.approx(1)
        assert table.loc["zeta", "importance"] > 0.8
        assert table.loc["zeta", "low"] > table.loc["alpha", "high"]
        assert (table["low"] <= table["importance"]).all()
        assert (table["importance"] <= table["high"]).all()
        assert any(arm in claim and "zeta" in claim and claim.endswith("zeta most.") for claim in claimed)


def test_the_interval_of_a_mean_would_be_that_of_student(monkeypatch):
    """The jackknife of a mean, leaving out one at a time, gives the standard error of the mean."""

    def mean(arm, of, picked):
        return dict.fromkeys(SPACE, of.values[picked].mean())

    arm = tuned([trial(p, peaked(p) / 1000) for p in points(12, 0)])
    monkeypatch.setattr("analysis.statistics.importance._importance", mean)
    monkeypatch.setattr("analysis.statistics.importance.PARTS", 12)
    values = comparable(arm).values
    wanted = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert landscape(arm).importance.loc["zeta", ["low", "high"]].tolist() == pytest.approx(wanted)


# The importances of two parameters, on which no claim depends.
SOME = pd.DataFrame({"importance": [0.6, 0.4], "low": [0.5, 0.3], "high": [0.7, 0.5]}, index=list(SPACE))


@pytest.mark.slow
def test_on_a_null_objective_nothing_is_claimed():
    """At most 3 of 20 searches of two arms in pure noise claim anything: each may with probability 0.05."""
    claimed = 0
    for repetition in range(20):
        rng = np.random.default_rng(repetition)
        arms = []
        for _ in ARMS:
            study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=repetition))
            for _ in range(30):
                asked = study.ask(DISTRIBUTIONS)
                study.tell(asked, float(rng.normal(60, 1)))
            arms.append(study)
        tuned = [Tuned(name, study, SPACE) for name, study in zip(ARMS, arms, strict=True)]
        seen = {arm.name: Landscape(of := comparable(arm), SOME, [], explained_p(arm, of, rng)) for arm in tuned}
        claimed += bool(claims(SearchRecord({}, tuned), seen, []))
    assert claimed <= 3


def test_one_parameter_is_claimed_in_the_singular_and_its_trials_are_enough():
    arm = tuned([trial({"alpha": p["alpha"]}, p["alpha"]) for p in points(8, 0)], space={"alpha": SPACE["alpha"]})
    search = SearchRecord({}, [arm])
    seen = Landscape(comparable(arm), SOME.loc[["alpha"]], [], 0.01)
    (said,) = claims(search, {"cutmix": seen}, [])
    assert said == "In cutmix it matters how alpha is set (p 0.010, of complete trials)."
    assert cautions(search, []) == []
    (said,) = claims(search, {"cutmix": Landscape(seen.of, SOME, [], 0.01)}, [])
    assert said.endswith("zeta and alpha are set (p 0.010, of complete trials), none clearly more than another.")


def test_one_trial_is_told_of_in_the_singular():
    (point,) = points(1, 0)
    arm = tuned([trial(point, 60.0), create_trial(state=TrialState.RUNNING)])
    said = cautions(SearchRecord({}, [arm]), [])
    assert "cutmix: 1 trial has not ended." in said
    assert (
        "cutmix: 1 trial can be compared, too few to say how the parameters act; at least 10 would be needed." in said
    )
    nothing = tuned([trial({}, 60.0)], space={})  # an arm that meets no condition has no parameters
    assert landscape(nothing).importance.empty
    assert cautions(SearchRecord({}, [nothing]), []) == []
