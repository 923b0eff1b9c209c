"""What earlier tables of a study have shown of the trials that a new one holds, from the plans that made them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from mixlab import Arm, Study
from mixlab.spec.complete import complete
from mixlab.spec.study_plan import study_plan
from mixlab.tracking import artifacts, names
from mixlab.tracking.looks import earlier_looks
from tests.toy import STUDIES, Toy

TRAIN = complete(Toy())
THREE_ARMS = replace(STUDIES["sequential"](), seeds=range(6))
FIRST, SECOND, THIRD = THREE_ARMS.arms
STUDY = replace(THREE_ARMS, arms=(FIRST, SECOND))
NOTHING: dict[str, Any] = {
    **{"seeds": [], "until_decided": False, "comparisons": 0, "metrics": []},
    **{"other_delta": False, "other_family": False, "confirmed": []},
}
METRIC, OTHER_METRIC = "test_top1_median10", "test_top1_best"
Table = tuple[Any, dict[str, Any]]


def table_of(study: Study, tags: tuple[tuple[str, str], ...] = ((names.NOTE, "a table"),), **looks: Any) -> Table:
    """Return the run and the plan of a study of which a table was made, and what its plan knows of earlier looks."""
    plan = study_plan(study, study.trials(TRAIN), "paper", TRAIN, {**NOTHING, **looks})
    return SimpleNamespace(tags={names.PLAN: study.identity, **dict(tags)}), plan


def seeds(count: int) -> Study:
    return replace(STUDY, seeds=range(count))


def arms(*given: Arm) -> Study:
    return replace(THREE_ARMS, arms=given)


OF_SIX, OF_SEVEN, LARGER = table_of(STUDY), table_of(seeds(7), seeds=[6]), table_of(THREE_ARMS)
LATER_SIX = replace(STUDY, seeds=range(3, 9))
RENAMED = arms(FIRST, replace(SECOND, name="new"))
FOUR_OTHER_SEEDS = table_of(replace(THREE_ARMS, seeds=range(5, 9)))
OF_SECOND = arms(FIRST, SECOND, replace(THIRD, against=SECOND.name))
WITHOUT_NULL = {name: part for name, part in OF_SIX[1].items() if name not in ("looks", "against")}
WITHOUT_FIRST = OF_SIX[1] | {"trials": [each for each in OF_SIX[1]["trials"] if each["arm"] != FIRST.name]}
# The table of seven is the run's last.
STOPPED = table_of(seeds(9), tags=((names.NOTE, "a table"), (names.TABLE_SEEDS, "7")), seeds=[6])


# name: the study of a new table, the tables before it, and what is told of them
LOOKS: dict[str, tuple[Study, list[Table], dict[str, Any]]] = {
    "no table": (STUDY, [], {}),
    "the same table again": (STUDY, [OF_SIX], {}),
    "another number of seeds": (seeds(7), [OF_SIX], {"seeds": [6]}),
    "by a plan without what is null": (seeds(7), [(OF_SIX[0], WITHOUT_NULL)], {"seeds": [6]}),
    "of a plan that lacks the reference": (seeds(7), [(OF_SIX[0], WITHOUT_FIRST)], {}),
    "which the next table has kept": (seeds(7), [OF_SEVEN], {"seeds": [6]}),
    "and one more": (seeds(8), [OF_SEVEN], {"seeds": [6, 7]}),
    "seeds of which no table was made": (seeds(8), [STOPPED], {"seeds": [6]}),
    "until decided": (seeds(7), [table_of(replace(STUDY, sequential=True))], {"until_decided": True}),
    "until decided before": (seeds(8), [table_of(seeds(7), until_decided=True)], {"seeds": [7], "until_decided": True}),
    "comparisons of another plan count once": (STUDY, [LARGER, LARGER], {"comparisons": 1}),
    "those of this plan count never": (THREE_ARMS, [LARGER, OF_SIX], {}),
    "cells that share a run": (STUDY, [FOUR_OTHER_SEEDS], {"seeds": [4], "comparisons": 1}),
    "as many seeds, and some of the first": (LATER_SIX, [OF_SIX], {"seeds": [6]}),
    "and once more": (LATER_SIX, [table_of(LATER_SIX, seeds=[6])], {"seeds": [6]}),
    "the first ones again": (STUDY, [OF_SEVEN], {"seeds": [7]}),
    "new seeds": (replace(STUDY, seeds=range(6, 12)), [OF_SIX], {}),
    "one seed": (seeds(1), [table_of(seeds(1))], {}),
    "a comparison the other way round": (arms(SECOND, FIRST, THIRD), [OF_SIX], {}),
    "another beside one turned round": (arms(SECOND, FIRST, THIRD), [LARGER], {"comparisons": 1}),
    "other trials": (seeds(7), [table_of(THREE_ARMS.with_base(epochs=7))], {}),
    "where no table was made": (seeds(7), [table_of(THREE_ARMS, tags=())], {}),
    "another name of an arm": (RENAMED, [OF_SIX], {}),
    # A look at fewer seeds was forgotten as soon as an arm was renamed or added.
    "fewer seeds by another name": (replace(seeds(7), arms=RENAMED.arms), [OF_SIX], {"seeds": [6]}),
    "fewer seeds without an arm": (replace(THREE_ARMS, seeds=range(7)), [OF_SEVEN, OF_SIX], {"seeds": [6]}),
    "fewer seeds of other comparisons": (replace(seeds(7), arms=(FIRST, THIRD)), [OF_SIX], {"comparisons": 1}),
    "until decided without an arm": (THREE_ARMS, [table_of(replace(STUDY, sequential=True))], {"until_decided": True}),
    "another metric": (STUDY, [table_of(replace(STUDY, metric=OTHER_METRIC))], {"metrics": [OTHER_METRIC]}),
    "another metric before": (STUDY, [table_of(STUDY, metrics=[OTHER_METRIC])], {"metrics": [OTHER_METRIC]}),
    "the first metric again": (STUDY, [table_of(STUDY, metrics=[METRIC])], {}),
    "another delta": (replace(STUDY, delta=0.5), [table_of(replace(STUDY, delta=0.2))], {"other_delta": True}),
    "a delta after none": (replace(STUDY, delta=0.5), [OF_SIX], {"other_delta": True}),
    "and once more with it": (STUDY, [table_of(STUDY, other_delta=True)], {"other_delta": True}),
    "another family": (replace(STUDY, family="table"), [OF_SIX], {"other_family": True}),
    "another family before": (STUDY, [table_of(STUDY, other_family=True)], {"other_family": True}),
    # It was taken for the same table, so that the comparison that it replaces was not told of.
    "a reference": (OF_SECOND, [LARGER], {"comparisons": 1}),
    "an earlier reference": (THREE_ARMS, [table_of(OF_SECOND)], {"comparisons": 1}),
}


@pytest.mark.parametrize(("study", "tables", "looks"), LOOKS.values(), ids=LOOKS)
def test_a_new_table_tells_of_the_looks_at_its_trials(monkeypatch, study, tables, looks):
    monkeypatch.setattr(artifacts, "plans", lambda client, name: tables)
    trials = study.trials(TRAIN)
    done = {trial.key for trial in trials}
    assert earlier_looks(MlflowClient("http://127.0.0.1:1"), study, trials, METRIC, done) == {**NOTHING, **looks}


def confirmation(trials: int, zeta: float, study: Study = STUDY, search: str = "a search") -> Study:
    """Return the study of a search's winners, each the best of so many trials; that of the second arm is ``zeta``."""
    points = dict(zip((cell.name for cell in study.cells()), ({"zeta": 0.1}, {"zeta": zeta}), strict=False))
    return replace(study, tuned=points, search=search, tried=dict.fromkeys(points, trials))


def confirmed_before(monkeypatch, today: Study, *earlier: Study, done: bool = True) -> list[list[Any]]:
    """Return the trials and the seeds of the confirmations that are told of, in the last of several plans."""
    found: dict[str, Table] = {}
    looks: dict[str, Any] = {}
    keys: set[str] = set()
    monkeypatch.setattr(artifacts, "plans", lambda client, name: list(found.values()))
    for study in (*earlier, today):
        trials = study.trials(TRAIN)
        looks = earlier_looks(MlflowClient("http://127.0.0.1:1"), study, trials, METRIC, keys)
        found[study.identity] = table_of(study, (), **looks)  # the plan of one identity replaces the one before
        keys |= {trials[0].key} if done else set()
    return sorted([[count for count, _ in each["winners"].values()], each["seeds"]] for each in looks["confirmed"])


def test_a_confirmation_tells_of_those_with_results_after_which_the_search_went_on(monkeypatch):
    first, same, new = confirmation(4, 0.3), confirmation(6, 0.3), confirmation(9, 0.5)
    four, six = [[4, 4], [0, 1, 2, 3, 4, 5]], [[6, 6], [0, 1, 2, 3, 4, 5]]
    eight = replace(first, seeds=range(8))
    elsewhere = confirmation(4, 0.7, search="in another space")
    renamed = confirmation(6, 0.3, replace(RENAMED, name="toy"))
    for today, earlier, said in (
        (first, (), []),
        (first, (first,), []),  # as after an interruption
        (eight, (first,), []),  # of which ``seeds`` tells
        (same, (first,), [four]),
        (new, (first, same), [four, six]),
        (new, (first, new), [four]),  # and the same once more
        (elsewhere, (first,), [four]),
        (renamed, (first,), [four]),
        (elsewhere, (first, renamed), [four, six]),  # the second tells of the first as well
        (confirmation(4, 0.5), (first,), [four]),  # a trial that had failed was tried again, and won
        (same, (confirmation(4, 0.3, STUDY.with_base(epochs=7)),), []),  # another question
        (STUDY, (first,), []),  # nothing is tuned
    ):
        assert confirmed_before(monkeypatch, today, *earlier) == said
    assert confirmed_before(monkeypatch, same, first, done=False) == []  # nobody can have seen a result
    # Of another winner the sentence on confirmations tells: it is no comparison of another plan besides.
    monkeypatch.setattr(artifacts, "plans", lambda client, name: [table_of(first)])
    assert earlier_looks(MlflowClient("http://127.0.0.1:1"), new, new.trials(TRAIN), METRIC, ())["comparisons"] == 0
