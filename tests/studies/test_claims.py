"""The claims that every study can make: six seeds, the control of SUMix, answers over its tables, and effects."""

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analysis.figures.forest import plot_effects, plot_forest
from analysis.records.published import sumix_terms
from analysis.statistics.over_tables import LEAST_ARMS, over_tables, ranking_of
from analysis.statistics.significance import FEWEST_PAIRS
from analysis.statistics.tables import LevelTable, level_tables
from mixlab import Search, Study, add_one_in, leave_one_out
from mixlab.spec.study_plan import study_plan
from tests.analysis.planned import planned_runs
from tests.studies.cells import FOLDER, TRAIN, load, trials, write_styles
from tests.trainables.refusal import check

NAMES = sorted(file.stem for file in FOLDER.glob("*.py"))
OF_CLASSIFIERS = [name for name in NAMES if "main(study, classify" in (FOLDER / f"{name}.py").read_text("utf-8")]
TERMS = (("lam", {"sumix.lam": "learned"}), ("l_s", {"sumix.regulariser": "s"}))


@pytest.fixture(autouse=True, scope="module")
def style_network(tmp_path_factory) -> Iterator[None]:
    """Put a small network of styles where the study of StyleMix looks for one."""
    folder = tmp_path_factory.mktemp("style")
    write_styles(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield


def study_of(name: str) -> Study:
    found, _ = load(name)
    return found.study if isinstance(found, Search) else found


def configurations(name: str) -> dict[tuple[tuple[str, ...], str], Mapping[str, Any]]:
    """Return the configuration of every cell, by its levels and arm."""
    return {(tuple(trial.levels.values()), trial.arm): trial.config for trial in trials(name) if trial.seed == 0}


@functools.cache
def drawn(name: str, most: int = 99) -> tuple[dict[str, Any], list[LevelTable]]:
    """Return the plan of a study, and its first tables, at most ``most``, from drawn results."""
    shown = list(dict.fromkeys(tuple(trial.levels.values()) for trial in trials(name)))[:most]
    chosen = [trial for trial in trials(name) if tuple(trial.levels.values()) in shown]
    plan = study_plan(study_of(name), chosen, "paper", TRAIN)
    rng = np.random.default_rng(0)
    return plan, level_tables(planned_runs(plan, lambda *_: 70 + rng.normal()), plan)


@pytest.mark.parametrize("name", NAMES)
def test_every_study_bears_the_name_of_its_file_and_runs_six_seeds(name):
    found, header = load(name)
    study = study_of(name)
    assert found.name == study.name == name
    assert f"python studies/{name}.py" in header
    assert f"{len(study.arms)} arms x 6 seeds" in header or isinstance(found, Search)
    assert list(study.seeds) == list(range(FEWEST_PAIRS))


@pytest.mark.parametrize("name", OF_CLASSIFIERS)
def test_every_study_of_sumix_has_its_control(name):
    """The control runs the batch before it is mixed, and else equals the reference, in every table with SUMix."""
    found, study = configurations(name), study_of(name)
    controls = [arm for arm in study.arms if arm.control]
    with_sumix = {levels for (levels, arm), config in found.items() if sumix_terms(config) not in ("none", "")}
    for levels in with_sumix:
        (control,) = [arm for arm in controls if arm.name != "recalibrated"]
        mine, reference = found[levels, control.name], found[levels, control.against or study.baseline]
        assert sumix_terms(reference) == "none"
        differing = {key for key in mine if mine[key] != reference[key]} - {"sumix.zeta"}
        assert differing == {"sumix.regulariser"}
        assert mine["sumix.zeta"] == 0
    assert bool(controls) == bool(with_sumix)


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_CLASSIFIERS)
def test_every_study_of_several_tables_answers_here_and_in_general(name):
    study = study_of(name)
    _, levels = drawn(name, most=2)
    answers = over_tables(levels)
    if len(levels) < 2 or len(study.arms) < 2:
        assert answers.empty
        assert plot_forest(name, levels) is None
        return
    assert list(answers.index) == [
        (arm.name, question) for arm in study.arms[1:] for question in ("here", "in general")
    ]
    assert (ranking_of(levels) is not None) == (sum(not arm.control for arm in study.arms) >= LEAST_ARMS)
    assert set(answers["n"].xs("in general", level=1)) == {len(levels)}
    assert set(answers["n"].xs("here", level=1)) == {6}


@pytest.mark.parametrize("name", ["kimage_style", "kimage_subsampling", "mixers_cifar100", "search_zeta_alpha"])
def test_a_study_of_which_no_other_test_takes_a_step_can_be_rehearsed(name):
    for config in configurations(name).values():
        check(config)


def test_the_factorial_study_shows_the_effect_of_every_term_and_interaction():
    plan, levels = drawn("sumix_factorial")
    figure = plot_effects("sumix_factorial", levels, plan["design"])
    axis, *others = figure.subfigs[0].axes
    assert len(others) == 1
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "lam",
        "l_s",
        "l_u",
        "lam × l_s",
        "lam × l_u",
        "l_s × l_u",
        "lam × l_s × l_u",
    ]


@pytest.mark.parametrize("name", ["ablation_cifar100", "ablation_cub"])
def test_the_ablation_compares_with_the_learned_lambda_and_with_the_baseline(name):
    plan, levels = drawn(name)
    on_top = {arm for arm, reference in plan["against"].items() if reference == "+ lam"}
    assert on_top == {"+ l_s", "+ l_u", "+ l_su"}
    assert set(plan["against"].values()) == {"baseline", "+ lam"}
    assert plan["against"]["+ lam"] == "baseline"
    table = levels[0].table
    for arm in on_top:
        assert table.loc[arm, "gain"] == pytest.approx(table.loc[arm, "mean"] - table.loc["+ lam", "mean"])
        assert table.loc[arm, "over_baseline"] == pytest.approx(table.loc[arm, "mean"] - table.loc["baseline", "mean"])


def test_designs_of_the_terms_of_sumix():
    """A study of each design is planned, and its arms differ in what their names say."""
    base = replace(study_of("ablation_cifar100"), factors={}).with_base(mixer="cutmix")
    for arms, terms in (
        (add_one_in(TERMS), {"baseline": "none", "+ lam": "lam", "+ l_s": "s"}),
        (leave_one_out(TERMS), {"full": "lam+s", "- lam": "s", "- l_s": "lam"}),
    ):
        found = replace(base, arms=arms).trials(TRAIN)
        assert {trial.arm: sumix_terms(trial.config) for trial in found} == terms
