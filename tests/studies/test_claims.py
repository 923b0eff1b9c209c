"""The claims that every study can make: six seeds, the control of SUMix, and the references of its arms."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from analysis.records.published import sumix_terms
from analysis.statistics.significance import FEWEST_PAIRS
from mixlab import Search, Study, add_one_in, leave_one_out
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


@pytest.mark.parametrize("name", ["kimage_style", "kimage_subsampling", "mixers_cifar100", "search_zeta_alpha"])
def test_a_study_of_which_no_other_test_takes_a_step_can_be_rehearsed(name):
    for config in configurations(name).values():
        check(config)


@pytest.mark.parametrize("name", ["ablation_cifar100", "ablation_cub"])
def test_the_ablation_compares_the_terms_of_the_regulariser_with_the_learned_lambda(name):
    against = {arm.name: arm.against for arm in study_of(name).arms}
    assert against == {**dict.fromkeys(against), **dict.fromkeys(("+ l_s", "+ l_u", "+ l_su"), "+ lam")}


def test_designs_of_the_terms_of_sumix():
    """A study of each design is planned, and its arms differ in what their names say."""
    base = replace(study_of("ablation_cifar100"), factors={}).with_base(mixer="cutmix")
    for arms, terms in (
        (add_one_in(TERMS), {"baseline": "none", "+ lam": "lam", "+ l_s": "s"}),
        (leave_one_out(TERMS), {"full": "lam+s", "- lam": "s", "- l_s": "lam"}),
    ):
        found = replace(base, arms=arms).trials(TRAIN)
        assert {trial.arm: sumix_terms(trial.config) for trial in found} == terms
