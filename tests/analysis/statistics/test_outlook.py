"""What a plan says before training about what its seeds can show."""

import math

import numpy as np
import pytest

from analysis.statistics.outlook import decide, outlook
from analysis.statistics.power import detectable_effect, seeds_to_find_one_sd
from analysis.statistics.sequential import e_value, fewest_to_claim
from analysis.statistics.sequential_power import budget_to_find_one_sd, detectable_until_decided
from analysis.statistics.significance import family_p
from analysis.statistics.tables import level_tables
from analysis.statistics.verdicts import DECIDED
from tests.analysis.planned import METRICS, VALUE, make_plan, planned_runs

ARMS = ("plain", "real", "null")


def study(seeds, **plan):
    """Return a plan of one table and its runs: the arm "real" gains 1 with an sd of 0.1, "null" nothing."""
    made = make_plan(arms=ARMS, seeds=seeds, **plan)
    runs = planned_runs(made, lambda arm, _: 70.0 + (arm == "real"))
    runs[VALUE] += np.random.default_rng(1).normal(0, 0.1 / 2**0.5, len(runs))
    return made, runs


def test_three_seeds_cannot_claim_anything_and_the_plan_says_what_could():
    size, verdict, more = outlook(make_plan(arms=ARMS, seeds=3))
    assert size == "1 table, 3 arms, 3 seeds: 9 runs, 2 comparisons (one family)."
    assert verdict == (
        "The study cannot claim anything, however large the gains: with 3 seeds the smallest possible p is 0.25. "
        "With 6 seeds it could (18 runs)."
    )
    seeds = seeds_to_find_one_sd(1, 2)
    assert more == f"To find a gain of 1 sd of a paired difference would take {seeds} seeds ({3 * seeds} runs)."
    assert len(outlook(make_plan(arms=ARMS, seeds=seeds))) == 2  # so many would find it
    assert len(outlook(make_plan(arms=("plain", *map(str, range(201))), seeds=3))) == 2  # to simulate it takes too long


def test_six_seeds_say_which_gain_they_would_find():
    lines = outlook(make_plan(arms=ARMS, seeds=6))
    effect = detectable_effect(1, 2, 6)
    assert lines[1] == (
        f"The smallest possible p is 0.031, so 6 seeds can decide. A gain of {effect:.1f} sd of a paired difference "
        "would be found with 80 % power (p < 0.05 over 2 comparisons)."
    )


@pytest.mark.parametrize(("seeds", "smallest"), [(12, "0.00049"), (13, "0.00024"), (14, "0.00012"), (30, "0.0001")])
def test_the_smallest_p_of_many_seeds_is_that_of_the_patterns_that_are_drawn(seeds, smallest):
    (size, line) = outlook(make_plan(arms=ARMS[:2], seeds=seeds))  # the line about a gain of 1 sd
    assert size.endswith(" runs, 1 comparison.")
    assert line.startswith(f"The smallest possible p is {smallest}, so ")


def test_earlier_runs_tell_the_points():
    plan = make_plan(arms=(*ARMS, "far"), seeds=6, against={"real": "plain", "null": "real"})
    # The differences of real are 1, 2 and 3, whose sd is 1; those of null over real 0, 2 and 4, whose sd is the median,
    # as those of far are 0, 10 and 20.
    seeds = {"plain": (0, 0, 0), "real": (1, 2, 3), "null": (1, 4, 7), "far": (0, 10, 20)}
    results = {t["key"]: 70.0 + seeds[t["arm"]][t["seed"]] for t in plan["trials"] if t["seed"] < 3}
    effect = detectable_effect(1, 3, 6)
    (line,) = (line for line in outlook(plan, results) if "power" in line)
    assert line.endswith(f"over 3 comparisons): {effect * 2:.2f} points at the sd so far, 2.00.")
    two = {t["key"]: results[t["key"]] for t in plan["trials"] if t["seed"] < 2}
    nothing = {t["key"]: math.inf if t["arm"] == "real" else 70.0 for t in plan["trials"]}
    alike = {t["key"]: 70.0 for t in plan["trials"]}
    assert outlook(plan, two) == outlook(plan, nothing) == outlook(plan, alike) == outlook(plan)


def test_the_configuration_is_named_where_the_plan_has_it():
    config = {"depth": 3, "lr": 0.1, "dataset": "cifar100", "folder": None, "epochs": 200}
    plan = make_plan(arms=ARMS, seeds=6, config=config)
    lines = outlook(plan)
    assert lines[:3] == ["Every run: cifar100, 200 epochs.", "Recipe: lr 0.1.", "Tables: mixer = cutmix."]
    plan["config"]["epochs"] = 1
    assert outlook(plan)[0] == "Every run: cifar100, 1 epoch."
    plan["config"] |= {"dataset": "folder", "folder": "photographs"}
    assert outlook(plan)[0] == "Every run: folder, photographs, 1 epoch."
    plan["config"] = {"dataset": "own", **dict.fromkeys("abcdefghi", 1)}
    assert outlook(plan)[:2] == ["Every run: own.", "Recipe: a 1, b 1, c 1, d 1, e 1, f 1, g 1, h 1."]


def test_few_tables_cannot_claim_in_general_and_a_family_may_be_a_table():
    plan = make_plan(arms=ARMS, seeds=6, factors={"mixer": ("cutmix", "mixup")})
    assert outlook(plan)[-1].endswith("to claim that an arm helps in general takes 6 tables.")
    assert f"A gain of {detectable_effect(2, 2, 6):.1f} sd" in outlook(plan)[1]
    by_table = outlook(plan | {"family": "table"})[1]
    assert "over 2 comparisons" in by_table
    assert f"A gain of {detectable_effect(1, 2, 6):.1f} sd" in by_table
    for levels, said in (("abcde", True), ("abcdef", False)):
        many = make_plan(arms=ARMS, seeds=3, factors={"mixer": tuple(levels)}, sequential={"budget": 5})
        assert any("in general" in line for line in outlook(many)) == said


BOTH = [(mixer, arm) for mixer in ("cutmix", "mixup") for arm in ("null", "real")]


@pytest.mark.parametrize(
    ("family", "lost", "size", "compared"),
    [
        ("study", [], "2 tables, 3 arms, 6 seeds: 36 runs, 4 comparisons (one family)", "over 4 comparisons"),
        ("study", BOTH[:1], "2 tables, 3 arms, 6 seeds: 30 runs, 3 comparisons (one family)", "over 3 comparisons"),
        ("table", BOTH[:1], "2 tables, 3 arms, 6 seeds: 30 runs, 3 comparisons (every table", "over 2 comparisons"),
        ("table", BOTH[::2], "2 tables, 2 arms, 6 seeds: 24 runs, 2 comparisons (every table", "over 1 comparison)"),
        ("study", BOTH, "2 tables, 1 arm, 6 seeds: 12 runs, 0 comparisons.", "There is nothing to compare"),
    ],
)
def test_only_what_is_left_of_a_search_is_counted(monkeypatch, family, lost, size, compared):
    """A search leaves out each cell for which it has found no winner."""
    for simulated in ("detectable_effect", "seeds_to_find_one_sd"):
        monkeypatch.setattr(f"analysis.statistics.outlook.{simulated}", lambda *_: 1)
    plan = make_plan(arms=ARMS, seeds=6, factors={"mixer": ("cutmix", "mixup")}, family=family)
    plan["trials"] = [trial for trial in plan["trials"] if (trial["levels"]["mixer"], trial["arm"]) not in lost]
    first, second, *_ = outlook(plan)
    assert first.startswith(size)
    assert compared in second


def test_a_baseline_alone_and_sequential_seeds():
    assert outlook(make_plan(arms=("plain",)))[-1].startswith("There is nothing to compare")
    plan = make_plan(arms=ARMS, seeds=3, sequential={"budget": 20})
    assert outlook(plan)[1] == (
        "Seeds are added until every comparison is decided, at most 20 (60 runs); one may look after every seed."
    )
    effect = detectable_until_decided(1, 2, 20)
    found = f"A gain of {effect:.1f} sd of a paired difference would be found with 80 % power"
    power = f"{found} (e of 20 over 2 comparisons)"
    budget = budget_to_find_one_sd(1, 2)
    more = f"To find a gain of 1 sd of a paired difference may take {budget} seeds ({3 * budget} runs)."
    assert outlook(plan)[2:] == [f"{power}.", more]
    known = {trial["key"]: 70.0 + trial["seed"] * (trial["arm"] == "real") for trial in plan["trials"]}
    in_points = f"{effect * 0.5:.2f} points at the sd so far, 0.50."  # the median of 1 and 0
    assert outlook(plan, known)[2] == f"{power}: {in_points}"
    assert outlook(plan | {"sequential": {"budget": budget}})[3:] == []
    few = outlook(plan | {"sequential": {"budget": 5}})
    assert few[2] == f"The study cannot claim anything: even a certain effect takes {fewest_to_claim()} seeds."
    enough = outlook(plan | {"sequential": {"budget": fewest_to_claim()}})
    assert not any("cannot claim" in line for line in enough)
    assert e_value([1.0] * fewest_to_claim()) >= 20 > e_value([1.0] * (fewest_to_claim() - 1))


def test_the_effect_that_is_promised_is_found():
    """The simulation of the plan agrees with family_p on fresh data: 2 tables of 3 arms that share a baseline."""
    effect, rng, wins = detectable_effect(2, 3, 8), np.random.default_rng(5), 0
    for _ in range(300):
        runs = rng.normal(0, 0.5**0.5, (2, 4, 8))
        d = (runs[:, 1:] - runs[:, :1]).reshape(6, 8)
        d[0] += effect
        wins += family_p(d)[0] < 0.05
    assert wins / 300 == pytest.approx(0.8, abs=0.09)  # the standard errors of 200 and of 300 studies, twice


def test_more_seeds_find_less_and_more_comparisons_more():
    assert detectable_effect(1, 1, 5) == np.inf
    assert detectable_effect(1, 1, 6) > detectable_effect(1, 1, 8) > detectable_effect(1, 1, 12)
    found = [detectable_effect(tables, arms, 6) for tables, arms in ((1, 1), (1, 2), (1, 4), (4, 4))]
    assert found == sorted(set(found))
    assert seeds_to_find_one_sd(1, 1) == pytest.approx(10, abs=1)  # Cohen (1988), for the t test
    fewest = seeds_to_find_one_sd(1, 2)
    assert detectable_effect(1, 2, fewest) < 1.01 < 1.03 < detectable_effect(1, 2, fewest - 1)


def test_decide_names_every_comparison_and_keeps_what_was_decided():
    plan, runs = study(16, sequential={"budget": 20})
    assert set(decide(plan, runs.assign(status="pending")).values()) == {"not decided"}
    decided = []
    for seeds in range(1, 17):
        seen = runs.copy()
        seen.loc[seen["seed"] >= seeds, [VALUE, "status"]] = [np.nan, "pending"]
        decided.append(decide(plan, seen))
    assert decided[0] == {(("cutmix",), "real"): "not decided", (("cutmix",), "null"): "not decided"}
    for arm in ("real", "null"):
        words = [found[("cutmix",), arm] for found in decided]
        first = next(n for n, word in enumerate(words) if word != "not decided")
        assert set(words[first:]) == {"win" if arm == "real" else words[first]}
    assert decided[-1][("cutmix",), "real"] == "win"


def test_an_arm_that_was_given_up_gets_no_seed_and_stays_given_up():
    plan, runs = study(16, sequential={"budget": 20})
    seen = runs.copy()
    seen.loc[(seen["arm"] == "null") & (seen["seed"] >= 6), [VALUE, "status"]] = [np.nan, "pending"]
    early = seen.copy()
    early.loc[early["seed"] >= 6, [VALUE, "status"]] = [np.nan, "pending"]
    assert decide(plan, early)[("cutmix",), "null"] == decide(plan, seen)[("cutmix",), "null"] == "given up"


@pytest.mark.parametrize("kept", [range(0), range(6, 8), range(3)])
def test_a_comparison_without_a_pair_is_given_up_in_the_words_of_the_tables(kept):
    """The launch and the tables both say that there is no pair."""
    plan, runs = study(8, sequential={"budget": 12})
    lost = (runs["arm"] == "null") & ~runs["seed"].isin(kept) | (runs["arm"] == "plain") & (runs["seed"] >= 6)
    runs.loc[lost, [VALUE, "status"]] = [np.nan, "failed"]
    (level,) = level_tables(runs, plan)
    found = decide(plan, runs)[("cutmix",), "null"]
    assert found == level.table.loc["null", "verdict"]
    assert list(level.evidence) == ["real", *["null"] * bool(level.table.loc["null", "pairs"])]
    assert found == {range(0): "–", range(6, 8): "no common seed", range(3): "not decided"}[kept]


LOWER = {"metrics": [{**METRICS[0].json(), "higher_is_better": False}]}
ALIKE = ({}, {"family": "table"}, {"delta": 0.15}, {"delta": 0.15, **LOWER}, {"against": {"null": "real"}})


@pytest.mark.parametrize("plan", ALIKE)
def test_a_launch_and_the_tables_decide_alike(plan):
    factors = {"mixer": ("cutmix", "mixup"), "backbone": ("r20", "r8")}
    made = make_plan(arms=ARMS, seeds=8, factors=factors) | {"sequential": {"budget": 12}} | plan
    runs = planned_runs(made, lambda *_: 70.0)
    runs[VALUE] += np.random.default_rng(4).normal(0, 0.1, len(runs))
    gains = 0.2 * (runs["factor.mixer"] == "mixup") + 0.1 * (runs["factor.backbone"] == "r8")
    runs.loc[runs["arm"] == "real", VALUE] += gains
    tables = {tuple(level.levels.values()): level.table["verdict"] for level in level_tables(runs, made)}
    found = decide(made, runs)
    assert list(found) == [(levels, arm) for levels in tables for arm in ("real", "null")]
    for (levels, arm), said in found.items():
        assert said == (tables[levels][arm] if tables[levels][arm] in DECIDED else "not decided")
    other = {"family": "study" if "family" in plan else "table"}
    assert found != decide(made | other, runs)
