"""The spec of a search: the trials of each arm, the confirmation, and the refusals in one sentence."""

import runpy
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import optuna
import pytest

from mixlab import Arm, Choice, Float, Int, Metric, Search, Study, main
from mixlab.api import configure
from mixlab.cli import parse
from mixlab.errors import BadInput
from mixlab.spec import space_checks
from mixlab.spec.space import Space, corners, describe, grid, suggest
from mixlab.spec.study_plan import study_plan
from mixlab.spec.trainable import complete
from trainables import classify

KNOWN = {"zeta", "alpha", "mixer", "layers", "term", "epochs", "validation", "evaluate", "lr"}


class Toy:
    """The part of a trainable that is used before anything starts."""

    metrics = (
        Metric("val_top1", "%", higher_is_better=True),
        Metric("val_loss", higher_is_better=False),
        Metric("test_top1", "%", higher_is_better=True, rules=("last",)),
    )
    metric = "test_top1_last"
    held_out: ClassVar[Mapping[str, Any]] = {"validation": 0.1, "evaluate": "validation"}
    presets: ClassVar[dict[str, dict[str, Any]]] = {"paper": {}, "quick": {"epochs": 2, "seeds": 2}, "smoke": {}}

    def __call__(self) -> None:
        raise NotImplementedError

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


def test_every_cell_is_tuned_with_the_same_budget_over_the_same_space() -> None:
    names = [cell.name for cell in STUDY.cells()]
    assert names == ["cutmix · plain", "cutmix · fast", "mixup · plain", "mixup · fast"]
    assert SEARCH.per_cell == 2
    SEARCH.check(TRAIN)
    histories = {SEARCH.history_name(cell, TRAIN) for cell in STUDY.cells()}
    assert len(histories) == 4


def test_search_runs_hold_out_and_confirmation_runs_do_not() -> None:
    cell = STUDY.cells()[0]
    trial = SEARCH.trial(cell, {"zeta": 1.0, "alpha": 0.2}, 5, TRAIN)
    assert trial.config["validation"] == 0.1
    assert trial.config["evaluate"] == "validation"
    assert trial.config["epochs"] == 3
    assert trial.name == "cutmix · plain · trial 5"

    won = ("cutmix · plain", "mixup · plain", "mixup · fast")
    study = SEARCH.confirmation({name: {"zeta": 1.0, "alpha": 0.2} for name in won})
    confirmed = study.trials(TRAIN)
    assert [(t.cell, t.seed) for t in confirmed] == [(cell, seed) for cell in won for seed in range(6)]
    assert study_plan(study, confirmed, "paper", TRAIN)["factors"] == ["mixer"]
    for each in confirmed:
        assert (each.config["validation"], each.config["evaluate"], each.config["epochs"]) == (0.0, "test", 9)
        assert (each.config["zeta"], each.config["alpha"]) == (1.0, 0.2)
        assert each.seed not in SEARCH.search_seeds
    assert [t.config["lr"] for t in confirmed] == [0.1] * 12 + [0.2] * 6
    # Without its baseline there is nothing to compare an arm with.
    alone = SEARCH.confirmation({name: {} for name in ("cutmix · plain", "mixup · fast")})
    assert [cell.name for cell in alone.cells()] == ["cutmix · plain"]


def test_a_key_depends_on_configuration_and_seeds_alone() -> None:
    cell = STUDY.cells()[0]
    point = {"zeta": 1.0, "alpha": 0.2}
    key = SEARCH.trial(cell, point, 0, TRAIN).key
    assert SEARCH.trial(cell, point, 7, TRAIN).key == key
    assert SEARCH.trial(cell, {**point, "alpha": 0.3}, 0, TRAIN).key != key
    assert replace(SEARCH, search_seeds=(1000, 1001)).trial(cell, point, 0, TRAIN).key != key


def test_what_is_optimised_decides_the_history_and_how_it_is_optimised_does_not() -> None:
    cell = STUDY.cells()[0]
    name = SEARCH.history_name(cell, TRAIN)
    for same in ({"budget": 40}, {"sampler": "qmc"}, {"scheduler": "none"}, {"study": STUDY.with_seeds(range(5))}):
        assert replace(SEARCH, **same).history_name(cell, TRAIN) == name
    for other in ({"objective": "val_loss"}, {"direction": "minimize"}, {"search_seeds": (7,)}, {"tuning": {}}):
        assert replace(SEARCH, **other).history_name(cell, TRAIN) != name
    assert SEARCH.identity != SEARCH.confirmation({}).identity


def configured(*argv: str) -> Search:
    search = configure(SEARCH, TRAIN, parse(SEARCH, argv))
    assert isinstance(search, Search)
    return search


def test_the_command_line_changes_search_and_confirmation_but_what_is_held_out() -> None:
    search = configured("--epochs", "4", "--set", "validation=0.2", "--seeds", "5")
    assert search.tuning == {"validation": 0.2, "evaluate": "validation", "epochs": 4}
    winners = {cell.name: {"zeta": 1.0, "alpha": 1.0} for cell in search.study.cells()}
    confirmed = search.confirmation(winners).trials(TRAIN)
    assert {(t.config["epochs"], t.config["validation"]) for t in confirmed} == {(4, 0.0)}
    assert {t.seed for t in confirmed} == set(range(5))


def test_options_of_a_search_and_its_presets() -> None:
    assert configured("--preset", "quick").budget == 4
    assert configured("--preset", "quick").tuning["epochs"] == 2
    assert configured("--preset", "quick", "--trials", "12").per_cell == 3
    assert configured("--sampler", "gp", "--scheduler", "median", "--concurrent", "3").sampler == "gp"
    assert len(configured("--mixers", "cutmix").study.cells()) == 2


SPACE: Space = {
    "term": Choice("none", "su"),
    "zeta": Float(0.5, 2, when={"term": ("su",)}),
    "layers": Int(1, 3),
}


def test_a_condition_sees_the_other_keys_in_any_order() -> None:
    backwards = dict(reversed(SPACE.items()))
    for term in ("none", "su"):
        trial = optuna.trial.FixedTrial({"term": term, "zeta": 1.0, "layers": 2})
        assert suggest(backwards, {}, trial) == suggest(SPACE, {}, trial)
    for term in ("none", "su"):
        point = suggest(SPACE, {}, optuna.trial.FixedTrial({"term": term, "zeta": 1.0, "layers": 2}))
        assert ("zeta" in point) == (term == "su")
        assert point["layers"] == 2
    assert "zeta" in suggest({"zeta": SPACE["zeta"]}, {"term": "su"}, optuna.trial.FixedTrial({"zeta": 1.0}))


def test_corners_are_the_ends_and_every_choice() -> None:
    found = list(corners(SPACE, {}))
    assert {"term": "none", "layers": 1} in found
    assert {"term": "su", "zeta": 2, "layers": 3} in found


def test_a_grid_has_every_point_that_applies_once() -> None:
    space = {**SPACE, "zeta": Float(0.5, 2, step=0.5, when={"term": ("su",)})}
    points = grid(space, {})
    assert len(points) == 3 + 4 * 3
    assert {"term": "su", "zeta": 1.5, "layers": 2} in points
    assert sum(point == {"term": "none", "layers": 1} for point in points) == 1
    assert len(grid({"layers": Int(1, 100), "zeta": Float(0, 99, step=1)}, {})) == 10_000


def test_ranges_in_words() -> None:
    assert describe(Float(0.05, 2, log=True)) == "0.05 to 2, log"
    assert describe(Int(1, 9, step=2)) == "1 to 9, steps of 2"
    assert describe(Choice("a", "b", when={"term": ("su", "s")})) == "a | b where term in su, s"


def of(**space: Any) -> Callable[[], Search]:
    return lambda: replace(SEARCH, space=space)


@pytest.mark.parametrize(
    ("make", "options", "parts"),
    [
        (of(), [], ["empty", "at least one key"]),
        (of(zeta=Float(0.5, 0.5)), [], ["zeta", "empty", "0.5"]),
        (of(zeta=Float(2, 0.05)), [], ["zeta", "inverted", "2", "0.05"]),
        (of(zeta=Float(0, 2, log=True)), [], ["zeta", "log", "above 0", "reach 0"]),
        (of(zeta=Float(-1, 2, log=True)), [], ["zeta", "log", "-1"]),
        (of(zeta=Float(0, float("inf"))), [], ["zeta", "inf", "finite"]),
        (of(zeta=Float("0", 1)), [], ["zeta", "'0'", "number"]),
        (of(zeta=Float(0, 1, step=2)), [], ["zeta", "step", "2"]),
        (of(zeta=Float(0.1, 1, step=0.1, log=True)), [], ["zeta", "log", "step"]),
        (of(layers=Int(1.5, 3)), [], ["layers", "whole", "1.5"]),
        (of(mixer=Choice("a")), [], ["mixer", "at least 2", "'a'"]),
        (of(term=Choice("a", "a")), [], ["term", "twice"]),
        (of(term=Choice("a", ("b",))), [], ["term", "('b',)"]),
        (of(zeta=(0, 1)), [], ["zeta", "(0, 1)", "Float"]),
        (of(zeat=Float(0, 1)), [], ["unknown key 'zeat'"]),
        (of(alpha=Float(1, 40)), [], ["alpha", "at most 10", "40"]),
        (of(zeta=Float(0, 1, when={"mixer": "cutmix"})), [], ["zeta", "mixer", "tuple", "'cutmix'"]),
        (of(zeta=Float(0, 1, when={"mixxer": ("cutmix",)})), [], ["zeta", "'mixxer'", "'mixer'"]),
        (of(term=Choice("a", "b"), zeta=Float(0, 1, when={"term": ("c",)})), [], ["zeta", "term", "['c']", "'a'"]),
        (
            of(zeta=Float(0, 1, when={"alpha": (1.0,)}), alpha=Float(1, 2, when={"zeta": (1.0,)})),
            [],
            ["zeta, alpha", "look at one another"],
        ),
        (of(zeta=Float(0, 1, when=["mixer"])), [], ["zeta", "['mixer']", "map keys to values"]),
        (of(term=Choice(0.1, "0.1")), [], ["term", "'0.1'", "twice"]),
        (of(term=Choice(True, 1)), [], ["term", "1", "twice"]),
        (of(layers=Int(1, 10**30)), [], ["layers", "within", "1000000"]),
        (lambda: replace(SEARCH, space={5: Float(0, 1)}), [], ["5", "text"]),
        (of(**{"ze%ta": Float(0, 1)}), [], ["'ze%ta'", "MLflow"]),
        (lambda: replace(SEARCH, space=["zeta"]), [], ["['zeta']", "mapping"]),
        (lambda: replace(SEARCH, tuning=["evaluate"]), [], ["['evaluate']", "mapping"]),
        (lambda: replace(SEARCH, budget=4.0), [], ["4.0", "whole number"]),
        (lambda: replace(SEARCH, budget=True), [], ["True", "whole number"]),
        (lambda: replace(SEARCH, budgets=[4]), [], ["[4]", "presets"]),
        (lambda: replace(SEARCH, budgets={"smoke": "4"}), [], ["'smoke'", "'4'", "whole number"]),
        (lambda: replace(SEARCH, concurrent=1.5), [], ["1.5", "whole number"]),
        (lambda: replace(SEARCH, study=5), [], ["a Study", "5"]),
        (of(lr=Float(1, 4)), [], ["lr", "space", "'cutmix · plain'"]),
        (lambda: replace(SEARCH, objective="test_top1"), [], ["'test_top1'", "held-out data", "'val_top1'"]),
        (lambda: replace(SEARCH, tuning={"validation": 0.1, "evaluate": "test"}), [], ["'test'", "'validation'"]),
        (lambda: replace(SEARCH, search_seeds=(2,)), [], ["seed 2", "fresh"]),
        (lambda: replace(SEARCH, search_seeds=()), [], ["at least 1 seed"]),
        (lambda: replace(SEARCH, direction="up"), [], ["'up'", "maximize"]),
        (lambda: SEARCH, ["--trials", "3"], ["3", "below the number of arms, 4"]),
        (lambda: SEARCH, ["--trials", "0"], ["0", "below"]),
        (lambda: SEARCH, ["--trials", "10"], ["10", "equally", "8 or 12"]),
        (lambda: SEARCH, ["--trials", "20240608"], ["20240608 trials", "at most 100000"]),
        (of(layers=Int(1, 2**50)), ["--sampler", "grid"], ["grid", "1125899906842624 trials", "at most 100000"]),
        (
            of(**{key: Int(1, 10_000) for key in ("zeta", "layers")}),
            ["--sampler", "grid"],
            ["grid", "100000000 trials", "at most 100000"],
        ),
        (lambda: SEARCH, ["--sampler", "tpee"], ["'tpee'", "'tpe'"]),
        (lambda: SEARCH, ["--sampler", "grid"], ["grid", "zeta", "continuous"]),
        (lambda: SEARCH, ["--scheduler", "ahsa"], ["'ahsa'", "'asha'"]),
        (lambda: SEARCH, ["--concurrent", "0"], ["0", "at least 1"]),
        (lambda: SEARCH, ["--set", "zeta=1"], ["zeta=1", "varies"]),
        (lambda: SEARCH, ["--set", "evaluate=test"], ["'test'", "held-out data"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(
    make: Callable[[], Search],
    options: list[str],
    parts: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(make(), Toy(), options)
    assert stopped.value.code == 2
    sentence = capsys.readouterr().err.strip()
    assert sentence.startswith("error: ")
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_are_numbers_of_a_space() -> None:
    assert Float(np.float32(0.5), np.int64(2)) == Float(0.5, 2)
    assert Choice(np.float64(0.1), np.bool_(True)).values == (0.1, True)
    space_checks.check({"zeta": Int(np.int64(1), np.int32(3)), "term": Choice(np.float32(0.5), 1)})


def test_a_trainable_whose_objectives_are_no_list_is_a_sentence() -> None:
    for found in ("val_top1", []):
        train = Toy()
        train.objectives = lambda config, found=found: found  # type: ignore[method-assign, misc, assignment]
        with pytest.raises(BadInput, match="must be a list of at least one metric's name, got"):
            replace(SEARCH, objective="").completed(complete(train))


def test_check_raises_what_main_prints() -> None:
    with pytest.raises(BadInput, match="continuous"):
        replace(SEARCH, sampler="grid").check(TRAIN)


def test_the_real_search_refuses_an_objective_that_training_never_reports(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = runpy.run_path(str(Path(__file__).parents[3] / "studies" / "search_zeta_alpha.py"))["study"]
    monkeypatch.chdir(tmp_path)
    for objective, part in (("val_topp1", "did you mean 'val_top1'?"), ("test_top5", "or 'val_top1' or")):
        with pytest.raises(SystemExit) as stopped:
            main(replace(study, objective=objective), classify.train, ["--preset", "smoke"])
        assert stopped.value.code == 2
        assert part in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(replace(study, tuning={}), classify.train, ["--preset", "smoke"])
    assert stopped.value.code == 2
    assert "evaluate must be 'validation'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
