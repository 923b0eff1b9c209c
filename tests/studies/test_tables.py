"""Every study of SUMix is the table that it names, or crosses what it says: definitions, factorial, zeta and maps."""

import time

import pytest

from analysis.records.published import sumix_terms
from mixlab.spec.complete import complete
from mixlab.spec.study_plan import study_plan
from tests.studies.cells import cells, load, published, trials
from tests.studies.steps import require_dry_run
from trainables import cost
from trainables.classify import train
from trainables.recipes import recipe_of, sumix_settings

# studies of a table of published numbers: networks x mixers x arms, without the control, which no paper has
TABLES = {
    "ablation_cifar100": 1 * 2 * 5,
    "ablation_cub": 1 * 2 * 5,
    "table1_cifar100": 3 * 4 * 2,
    "table1_tiny_imagenet": 2 * 4 * 2,
    "table1_imagenet": 1 * 4 * 2,
    "table2_cub": 2 * 4 * 2,
    "table2_aircraft": 2 * 4 * 2,
    "table3_vits": 2 * 4 * 2,
    "table4_saliency_mixers": 2 * 2 * 2 + 2,
}
UNPUBLISHED = {"table4_saliency_mixers": 2}  # the paper has AdAutoMix without SUMix


@pytest.mark.parametrize("name", TABLES)
def test_a_study_has_its_cells_and_its_header_prints_the_published_number_of_each(name):
    study, header = load(name)
    controls = len(study.levels("mixer")) * len(study.levels("backbone") if "backbone" in study.factors else "1")
    count = TABLES[name] + UNPUBLISHED.get(name, 0) + controls
    assert (len(cells(name)), len(trials(name))) == (count, 6 * count)
    numbers = published(name)
    assert len(numbers) == TABLES[name]
    rows = [line.split() for line in header.splitlines()]
    for (*levels, _), number in numbers.items():
        mixer = levels[-1]
        (row,) = (row for row in rows if len(row) > 1 and row[0].lower() == mixer and row[1][0].isdigit())
        assert f"{number.value:.2f}" in row, (levels, number)


@pytest.mark.parametrize("name", TABLES)
def test_arms_differ_in_sumix_alone(name):
    study, _ = load(name)
    plain = {(*trial.levels.values(),): trial.config for trial in trials(name) if trial.arm == study.baseline}
    for trial in trials(name):
        differing = trial.config.items() - plain[(*trial.levels.values(),)].items()
        assert {key for key, _ in differing} <= {"sumix.lam", "sumix.regulariser", "sumix.zeta"}
        assert (sumix_terms(trial.config) == "none") == (trial.arm == study.baseline)
    assert [arm.name for arm in study.arms if arm.control] == ["raw pass"]


def test_the_factorial_study_crosses_its_terms():
    study, header = load("sumix_factorial")
    assert f"x {len(study.arms)} arms x 6 seeds" in header
    completed = complete(train)
    design = study_plan(study, study.trials(completed), "paper", completed)["design"]
    assert design["terms"] == ["lam", "l_s", "l_u"]
    assert len(design["signs"]) == len({tuple(signs.values()) for signs in design["signs"].values()}) == 8
    for arm in study.arms:
        if not arm.control:
            config = {**study.base, **arm.changes}
            on = {term for term, sign in arm.signs.items() if sign == 1}
            assert (config["sumix.lam"] == "learned") == ("lam" in on)
            regulariser = "".join(letter for letter in "su" if f"l_{letter}" in on) or "none"
            assert config["sumix.regulariser"] == regulariser


OTHER_NETWORKS = (
    "table1_cifar100 --backbones wrn28_8_paper",
    "table3_vits --backbones convnext_tiny_cifar",
    "table4_saliency_mixers --backbones wrn28_8",
)


@pytest.mark.parametrize("start", [*TABLES, *OTHER_NETWORKS])
def test_each_cell_has_the_recipe_of_its_network_and_the_strengths_of_its_mixer(start):
    for cell, config in cells(*start.split()).items():
        about = {key: config[key] for key in ("dataset", "backbone", "mixer")}
        wanted = {**recipe_of(about), **sumix_settings(about), **({"sumix.zeta": 0.0} if "raw pass" in cell else {})}
        assert {key: config[key] for key in wanted} == wanted, cell


@pytest.mark.slow
def test_a_dry_run_of_table_6_takes_little_more_than_what_it_imports(tmp_path, tracking_uri, capsys, monkeypatch):
    """Imports take most of the ten seconds that the command has; to time every cell's steps would take a minute."""
    monkeypatch.setattr(cost, "_measured", {})
    timed, take = [], cost.step_seconds
    monkeypatch.setattr(cost, "step_seconds", lambda *given: timed.append(given) or take(*given))
    start = time.process_time()
    require_dry_run("ablation_cifar100", tmp_path, tracking_uri, capsys, "paper")
    assert len(timed) <= 2  # sizes of a batch, of one network
    assert time.process_time() - start < 10


SUMIX_STUDIES = ("sumix_cam", "sumix_definitions", "sumix_factorial", "sumix_mixers_cifar100", "sumix_zeta")


def test_the_networks_of_the_maps_are_those_of_the_paper():
    _, header = load("sumix_cam")
    found = published("sumix_cam")
    values = {arm: number.value for (arm,), number in found.items()}
    assert values == {"none": 70.04, "CutMix": 68.95, "CutMix + SUMix": 69.71}
    for arm, value in values.items():
        assert f"    {arm:<14}  {value:.2f}" in header


def test_zeta_and_alpha_are_crossed_and_the_papers_choice_is_among_them():
    study, header = load("sumix_zeta")
    found = cells("sumix_zeta").values()
    crossed = {(config["mixer.alpha"], config["sumix.zeta"]) for config in found}
    assert {(0.2, zeta) for zeta in (0.1, 0.2, 0.5, 1.0)} <= crossed
    assert len(found) == 4 * 2 * len(study.arms)
    printed = {cell: number.value for cell, number in published("sumix_zeta").items()}
    assert len(printed) == 2 * 4  # a zeta and an alpha of each mixer, without and with SUMix
    choices = {"cutmix": (0.2, 0.5), "fmix": (0.2, 1.0), "saliencymix": (0.2, 0.5), "resizemix": (1.0, 0.2)}
    for mixer, (alpha, zeta) in choices.items():
        row = next(line.split() for line in header.splitlines() if line.lower().strip().startswith(mixer))
        pair = [printed[mixer, str(alpha), arm] for arm in ("baseline", f"zeta {zeta}")]
        assert row[1:] == [str(alpha), f"{pair[0]:.2f}", str(zeta), f"{pair[1]:.2f}"]


def test_each_definition_changes_one_choice_of_the_paper_and_has_no_published_number():
    found = cells("sumix_definitions")
    paper = found["SUMix as in the paper"]
    changed = {arm: {key for key in paper if config[key] != paper[key]} for arm, config in found.items()}
    others = ("baseline", "raw pass", "recalibrated", "SUMix as in the paper")
    choices = {arm: keys for arm, keys in changed.items() if arm not in others}
    assert all(len(keys) == 1 for keys in choices.values())
    assert set().union(*choices.values()) == {
        *("sumix.raw_statistics", "sumix.distance_gradient", "sumix.z", "sumix.lam_gradient", "sumix.preset"),
        *("sumix.lam_of", "sumix.raw_forward", "augment.padding", "mixer.probability", "mixer.label"),
    }
    assert set(published("sumix_definitions")) == {("baseline",), ("SUMix as in the paper",), ("release",)}
