"""The spec of a search: the trials of each arm, the confirmation, and the refusals in one sentence."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import optuna
import pytest

from mixlab import Arm, Choice, Float, Int, Metric, Search, Study
from mixlab.cli import parse
from mixlab.configure import configure
from mixlab.spec.complete import complete
from mixlab.spec.space import Space, corners, describe, grid, short, suggest
from mixlab.spec.study_plan import study_plan
from tests.endings import refused
from tests.mixlab.spec import minimal

KNOWN = {"zeta", "alpha", "mixer", "layers", "term", "epochs", "validation", "evaluate", "lr"}


class Toy(minimal.Toy):
    """A trainable that holds out data for a search."""

    metrics = (
        Metric("val_top1", "%", higher_is_better=True),
        Metric("val_loss", higher_is_better=False),
        Metric("test_top1", "%", higher_is_better=True, rules=("last",)),
    )
    metric = "test_top1_last"
    held_out: ClassVar[Mapping[str, Any]] = {"validation": 0.1, "evaluate": "validation"}
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "quick": {"epochs": 2, "seeds": 2}, "smoke": {}}

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        if unknown := set(config) - KNOWN:
            raise ValueError(f"unknown key {min(unknown)!r}")
        if config.get("alpha", 1) > 10:
            raise ValueError(f"alpha must be at most 10, got {config['alpha']}")
        return {"epochs": 1, "evaluate": "test", "validation": 0.0, **config}

    def objectives(self, config: Mapping[str, Any]) -> list[str]:
        return ["val_top1", "val_loss"]


TRAIN = complete(Toy())
STUDY = Study(
    name="toy",
    base={"zeta": 0.5, "epochs": 9},
    factors={"mixer": ("cutmix", "mixup")},
    arms=(Arm("plain", {"lr": 0.1}), Arm("fast", {"lr": 0.2})),
)
SEARCH = Search(
    study=STUDY,
    space={"zeta": Float(0.05, 2, log=True), "alpha": Float(0.1, 4, log=True)},
    budget=8,
    budgets={"quick": 4},
    tuning={"validation": 0.1, "evaluate": "validation", "epochs": 3},
).completed(TRAIN)


def test_every_cell_is_tuned_with_the_same_budget_over_the_same_space():
    names = [cell.name for cell in STUDY.cells()]
    assert names == ["cutmix · plain", "cutmix · fast", "mixup · plain", "mixup · fast"]
    assert SEARCH.per_cell == 2
    SEARCH.check(TRAIN)
    assert len({SEARCH.history_name(cell, TRAIN) for cell in STUDY.cells()}) == 4
    with refused("a study names a folder", "'a/b'"):
        replace(SEARCH, study=replace(STUDY, name="a/b")).check(TRAIN)


def test_search_runs_hold_out_and_confirmation_runs_do_not():
    point = {"zeta": 1.0, "alpha": 0.2}
    trial = SEARCH.trial(STUDY.cells()[0], point, 5, TRAIN)
    of_cell = {"mixer": "cutmix", "lr": 0.1}
    assert trial.config == {**point, **of_cell, "validation": 0.1, "evaluate": "validation", "epochs": 3}
    assert trial.name == "cutmix · plain · trial 5"

    won = {("cutmix", "plain"): 0.1, ("mixup", "plain"): 0.1, ("mixup", "fast"): 0.2}
    study = SEARCH.confirmation({" · ".join(cell): point for cell in won})
    confirmed = study.trials(TRAIN)
    assert [(trial.cell, trial.seed) for trial in confirmed] == [
        (" · ".join(cell), seed) for cell in won for seed in range(6)
    ]
    assert study_plan(study, confirmed, "paper", TRAIN)["factors"] == ["mixer"]
    for trial in confirmed:
        of_cell = {"mixer": trial.levels["mixer"], "lr": won[trial.levels["mixer"], trial.arm]}
        assert trial.config == {**point, **of_cell, "validation": 0.0, "evaluate": "test", "epochs": 9}
        assert trial.seed not in SEARCH.search_seeds


def test_an_arm_whose_reference_has_no_winner_is_not_confirmed():
    arms = (*STUDY.arms, Arm("faster", {"lr": 0.4}, against="fast"), Arm("fastest", {"lr": 0.8}, against="faster"))
    search = replace(SEARCH, study=replace(STUDY, arms=arms))
    names = [cell.name for cell in search.study.cells()]
    for lost, confirmed in (("mixup · fast", [*names[:4], "mixup · plain"]), ("mixup · plain", names[:4])):
        study = search.confirmation({name: {"zeta": 1.0} for name in names if name != lost})
        assert [cell.name for cell in study.cells()] == confirmed


def test_a_key_depends_on_configuration_and_seeds_and_for_a_mean_over_seeds_on_what_it_is_the_mean_of():
    """A checkpoint holds the results of the seeds before: another objective's would have been averaged with its own."""
    cell, point = STUDY.cells()[0], {"zeta": 1.0, "alpha": 0.2}
    two = replace(SEARCH, search_seeds=(1000, 1001))
    key, of_two = (search.trial(cell, point, 0, TRAIN).key for search in (SEARCH, two))
    assert SEARCH.trial(cell, point, 7, TRAIN).key == key
    assert SEARCH.trial(cell, {**point, "alpha": 0.3}, 0, TRAIN).key != key != of_two
    assert replace(SEARCH, objective="val_loss").trial(cell, point, 0, TRAIN).key == key
    assert replace(two, objective="val_loss").trial(cell, point, 0, TRAIN).key != of_two
    # A key that changed with a new version would make every finished trial be trained again.
    assert (key, of_two) == ("f5f6c384272ba905", "c4524d748bc85288")


def test_what_is_optimised_decides_history_and_plan_and_how_it_is_optimised_does_not():
    cell = STUDY.cells()[0]
    name, identity = SEARCH.history_name(cell, TRAIN), SEARCH.identity
    same = ({"budget": 40}, {"sampler": "qmc"}, {"scheduler": "none"}, {"study": replace(STUDY, seeds=range(5))})
    for search in (replace(SEARCH, **changes) for changes in same):
        assert (search.history_name(cell, TRAIN), search.identity) == (name, identity)
    other = ({"objective": "val_loss"}, {"direction": "minimize"}, {"search_seeds": (7,)}, {"tuning": {}})
    found = [replace(SEARCH, **changes) for changes in (*other, {"study": STUDY.with_base(epochs=8)})]
    assert name not in {search.history_name(cell, TRAIN) for search in found[:-1]}
    # Nor does any show the winners of another, or the runs of a study that searches nothing, as those of its own.
    plans = [(search.identity, search.confirmation({}).identity) for search in (SEARCH, *found)]
    assert len({STUDY.identity, *itertools.chain(*plans)}) == 13
    assert replace(SEARCH, tuning=None).identity == replace(SEARCH, tuning={}).identity
    # Others would not find the trials and the plan of an earlier version.
    assert (name, identity) == ("toy/cutmix · plain/4395695a7b8aa7af", "f91d62b02414a11b")


def test_data_is_held_out_if_the_runs_of_the_search_alone_change_every_key_for_that():
    for tuning, held in ((TRAIN.held_out, True), (SEARCH.tuning, True), ({"validation": 0.1, "epochs": 1}, False)):
        assert replace(SEARCH, tuning=tuning).holds_out(TRAIN) is held
    same_data = STUDY.with_base(evaluate="validation", validation=0.1)  # the confirmation uses it too
    assert not replace(SEARCH, study=same_data, tuning={}).holds_out(TRAIN)
    of_both = replace(SEARCH, tuning={}).with_fixed(TRAIN.held_out, validation=0.2)
    assert (of_both.study.fixed, of_both.tuning) == ({"validation": 0.2}, {})


def test_by_default_a_search_optimises_the_first_metric_that_its_own_runs_report():
    train = minimal.with_attributes(objectives=lambda config: [f"after {config['epochs']} of {config['zeta']}", "loss"])
    search = replace(SEARCH, objective="", tuning={"epochs": 3}).completed(train)
    assert (search.objective, search.direction) == ("after 3 of 0.5", "maximize")


def test_the_command_line_changes_search_and_confirmation_but_what_is_held_out():
    def configured(*argv: str) -> Search:
        return configure(SEARCH, TRAIN, parse(SEARCH, argv))

    search = configured("--epochs", "4", "--set", "validation=0.2", "--seeds", "5")
    assert search.tuning == {"validation": 0.2, "evaluate": "validation", "epochs": 4}
    search.check(TRAIN)  # only the size of the part that is held out has changed
    winners = {cell.name: {"zeta": 1.0, "alpha": 1.0} for cell in search.study.cells()}
    confirmed = search.confirmation(winners).trials(TRAIN)
    assert {(t.config["epochs"], t.config["validation"]) for t in confirmed} == {(4, 0.0)}
    assert {t.seed for t in confirmed} == set(range(5))
    assert configured("--preset", "quick").tuning["epochs"] == 2


SPACE: Space = {"term": Choice("none", "su"), "zeta": Float(0.5, 2, when={"term": ("su",)}), "layers": Int(1, 3)}


def test_a_condition_sees_the_other_keys_in_any_order():
    for space in (SPACE, dict(reversed(SPACE.items()))):
        for term, zeta in (("none", {}), ("su", {"zeta": 1.0})):
            trial = optuna.trial.FixedTrial({"term": term, "zeta": 1.0, "layers": 2})
            assert suggest(space, {}, trial) == {"term": term, "layers": 2, **zeta}
    assert suggest({"zeta": SPACE["zeta"]}, {"term": "su"}, optuna.trial.FixedTrial({"zeta": 1.0})) == {"zeta": 1.0}


def test_a_condition_on_steps_holds_for_the_number_that_was_meant():
    """In floats 0.1 and two steps of 0.1 make 0.30000000000000004, and a condition on 0.3 must hold there."""
    space = {"alpha": Float(0.1, 0.5, step=0.1), "zeta": Float(0.5, 2, step=1.5, when={"alpha": (0.3, 0.5)})}
    assert [len(point) for point in grid(space, {})] == [1, 1, 2, 2, 1, 2, 2]
    trial = optuna.trial.FixedTrial({"alpha": 0.1 + 2 * 0.1, "zeta": 0.5})
    assert set(suggest(space, {}, trial)) == {"alpha", "zeta"}
    around_zero = {"alpha": Float(-0.3, 0.3, step=0.1), "zeta": Choice(1, 2, when={"alpha": (0,)})}
    assert sum("zeta" in point for point in grid(around_zero, {})) == 2


def test_corners_are_the_ends_and_every_choice():
    assert list(corners(SPACE, {})) == [{"term": "none", "layers": 1}, {"term": "su", "zeta": 2, "layers": 3}]
    assert [point["layers"] for point in corners({"term": Choice("a", "b", "c"), "layers": Int(1, 3)}, {})] == [1, 3, 3]


@pytest.mark.parametrize(
    ("values", "last"),
    [
        (Int(8, 20, step=8), 16),
        (Float(0, 1, step=0.4), 0.8),
        (Float(0.1, 0.3, step=0.1), 0.3),
        (Float(0, 2), 2),
        (Float(1, 2, log=True), 2),
    ],
)
@pytest.mark.filterwarnings("error")  # Optuna warns where it shortens a range
def test_what_the_steps_of_a_range_do_not_reach_is_neither_tried_nor_drawn(values, last):
    """Steps of 8 from 8 leave out the width 20, so a trainable that refuses it can still be searched."""
    assert repr([point["x"] for point in corners({"x": values}, {})]) == repr([values.low, last])
    trial = optuna.create_study().ask()
    assert isinstance(suggest({"x": values}, {}, trial)["x"], int if isinstance(values, Int) else float)
    drawn = trial.distributions["x"]
    assert (drawn.high, drawn.step, drawn.log) == (last, values.step, values.log)


def test_a_grid_has_every_point_that_applies_once():
    space = {**SPACE, "zeta": Float(0.5, 2, step=0.5, when={"term": ("su",)})}
    points = grid(space, {})
    assert len(points) == 3 + 4 * 3
    assert {"term": "su", "zeta": 1.5, "layers": 2} in points
    assert sum(point == {"term": "none", "layers": 1} for point in points) == 1
    assert len(grid({"layers": Int(1, 100), "zeta": Float(0, 99, step=1)}, {})) == 10_000
    for values, steps in (
        (Float(0.1, 0.3, step=0.1), [0.1, 0.2, 0.3]),
        (Float(0.1, 0.35, step=0.1), [0.1, 0.2, 0.3]),
        (Float(0, 1, step=0.375), [0, 0.375, 0.75]),
        (Int(2, 9, step=3), [2, 5, 8]),
    ):
        assert [point["x"] for point in grid({"x": values}, {})] == steps


def test_ranges_in_words():
    assert describe(Float(0.05, 2, log=True)) == "0.05 to 2 on a log scale"
    assert describe(Int(1, 9, step=2)) == "1 to 9, steps of 2"
    assert describe(Int(1, 9)) == "1 to 9"
    assert describe(Float(0, 9, step=1)) == "0 to 9, steps of 1"
    both = {"term": ("su", "s"), "layers": (2,)}
    assert describe(Choice("a", None, when=both)) == "a | None, where term is su or s and layers is 2"
    assert [short(value) for value in (0.123456, 1e-7, 123456, None)] == ["0.1235", "1e-07", "123456", "None"]
