"""What earlier tables of a study have shown of the trials that a new one holds, from the plans that made them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from mixlab import Study
from mixlab.spec.complete import complete
from mixlab.spec.study_plan import study_plan
from mixlab.tracking import artifacts, names
from mixlab.tracking.looks import earlier_looks
from tests.toy import STUDIES, Toy

TRAIN = complete(Toy())
THREE_ARMS = replace(STUDIES["sequential"](), seeds=range(6))
STUDY = replace(THREE_ARMS, arms=THREE_ARMS.arms[:2])
NOTHING = {"seeds": [], "until_decided": False, "comparisons": 0}


def table_of(study: Study, looks: dict[str, Any] = NOTHING) -> tuple[Any, dict[str, Any]]:
    """Return the run and the plan of a study of which a table was made."""
    plan = study_plan(study, study.trials(TRAIN), "paper", TRAIN, looks)
    return SimpleNamespace(tags={names.PLAN: study.identity, names.NOTE: "a table"}), plan


def looks_before(monkeypatch: pytest.MonkeyPatch, study: Study, *tables: tuple[Any, dict[str, Any]]) -> dict[str, Any]:
    monkeypatch.setattr(artifacts, "plans", lambda client, name: tables)
    return earlier_looks(MlflowClient("http://127.0.0.1:1"), study, study.trials(TRAIN))


def seeds(count: int) -> Study:
    return replace(STUDY, seeds=range(count))


def test_other_numbers_of_seeds_are_kept_from_table_to_table(monkeypatch):
    assert looks_before(monkeypatch, STUDY) == NOTHING
    of_six = table_of(STUDY)
    assert looks_before(monkeypatch, STUDY, of_six) == NOTHING  # the same table again
    found = looks_before(monkeypatch, seeds(7), of_six)
    assert found == {**NOTHING, "seeds": [6]}
    of_seven = table_of(seeds(7), found)
    assert looks_before(monkeypatch, seeds(7), of_seven) == {**NOTHING, "seeds": [6]}
    assert looks_before(monkeypatch, seeds(8), of_seven) == {**NOTHING, "seeds": [6, 7]}


def test_seeds_of_which_no_table_was_made_were_not_looked_at(monkeypatch):
    stopped = table_of(seeds(9), {**NOTHING, "seeds": [6]})
    stopped[0].tags[names.TABLE_SEEDS] = "7"  # whose table is the run's last
    assert looks_before(monkeypatch, seeds(8), stopped) == {**NOTHING, "seeds": [6]}


def test_seeds_that_were_added_until_decided_are_no_number(monkeypatch):
    until = table_of(replace(STUDY, sequential=True))
    assert looks_before(monkeypatch, seeds(7), until) == {**NOTHING, "until_decided": True}
    known = table_of(seeds(7), {**NOTHING, "until_decided": True})
    assert looks_before(monkeypatch, seeds(8), known) == {**NOTHING, "seeds": [7], "until_decided": True}


def test_the_comparisons_of_other_plans_count_once_and_without_those_of_this_one(monkeypatch):
    larger = table_of(THREE_ARMS)
    assert looks_before(monkeypatch, STUDY, larger, larger) == {**NOTHING, "comparisons": 1}
    assert looks_before(monkeypatch, THREE_ARMS, larger, table_of(STUDY)) == NOTHING


def test_cells_that_share_some_runs_are_one(monkeypatch):
    larger = table_of(replace(THREE_ARMS, seeds=range(5, 9)))
    assert looks_before(monkeypatch, STUDY, larger) == {**NOTHING, "comparisons": 1}
    assert looks_before(monkeypatch, seeds(1), table_of(seeds(1))) == NOTHING


def test_a_comparison_the_other_way_round_is_no_other(monkeypatch):
    first, second, third = THREE_ARMS.arms
    turned = replace(THREE_ARMS, arms=(second, first, third))
    assert looks_before(monkeypatch, turned, table_of(STUDY)) == NOTHING
    assert looks_before(monkeypatch, turned, table_of(THREE_ARMS)) == {**NOTHING, "comparisons": 1}


def test_nothing_is_seen_of_other_trials_or_where_no_table_was_made(monkeypatch):
    others = table_of(THREE_ARMS.with_base(epochs=7))
    run, plan = table_of(THREE_ARMS)
    del run.tags[names.NOTE]
    assert looks_before(monkeypatch, seeds(7), others, (run, plan)) == NOTHING


def test_another_name_of_an_arm_makes_no_other_comparison(monkeypatch):
    first, second = STUDY.arms
    renamed = replace(STUDY, arms=(first, replace(second, name="new")))
    assert looks_before(monkeypatch, renamed, table_of(STUDY)) == NOTHING


def test_another_reference_makes_another_plan_whose_comparisons_count(monkeypatch):
    """It was taken for the same table, so that the comparison that it replaces was not told of."""
    first, second, third = THREE_ARMS.arms
    chosen = replace(THREE_ARMS, arms=(first, second, replace(third, against=second.name)))
    assert looks_before(monkeypatch, chosen, table_of(THREE_ARMS)) == {**NOTHING, "comparisons": 1}
