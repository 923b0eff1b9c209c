"""The studies of K-image mixing are its tables."""

from pathlib import Path

import pytest

from analysis.records.published import published_number
from mixlab import Options
from mixlab.cli import parse as parse_options
from mixlab.configure import configure
from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from tests.studies.cells import cells, load, trials, write_styles
from trainables import search_architecture
from trainables.classify import train

# levels x arms, and how many of the cells have a published error
KIMAGE = {
    "kimage_table1_pyramidnet110": (2 * 5, 2 * 5),
    "kimage_table1_pyramidnet200": (2 * 10, 2 * 10),
    "kimage_table1_cifar10": (2 * 7, 2 * 7),
    "kimage_table2": (3 * 7, 3 * 7),
    "kimage_table3": (7, 7),
    "kimage_table3_k": (2 * 5, 2 * 5 - 1),
    "kimage_k": (8, 0),
}


def errors(name: str, metric: str = "test_top1_error") -> dict[str, float]:
    found = cells(name).items()
    return {cell: number.value for cell, config in found if (number := published_number(config, metric))}


@pytest.mark.parametrize("name", KIMAGE)
def test_a_study_has_its_cells_and_prints_their_published_errors(name):
    study, header = load(name)
    printed = errors(name)
    assert (len(cells(name)), len(printed)) == KIMAGE[name]
    for error in printed.values():
        assert f"{error:.2f}" in header
    assert study.metric == "test_top1_error_median10"


@pytest.mark.slow
def test_the_errors_are_those_of_their_arms():
    first = errors("kimage_table1_pyramidnet200")
    printed = {"none": 16.45, "StochDepth": 15.86, "label smoothing": 16.73, "DropBlock": 15.73, "dcutmix": 13.86}
    for protocol in ("CutMix's code", "the authors' code"):
        assert {arm: first[f"{protocol} · {arm}"] for arm in printed} == printed
    assert errors("kimage_table1_cifar10")["CutMix's code · dcutmix"] == 2.42
    assert errors("kimage_table3", "test_top5_error")["dcutmix"] == 5.91
    by_k = errors("kimage_table3_k", "test_top5_error")
    assert (by_k["dcutmix · K = 9"], by_k["saliency_dcutmix · K = 7"]) == (6.34, 5.93)
    assert errors("kimage_table3_k")["dcutmix · K = 3"] == 21.62  # for alpha 1; Table 3, left, has 21.76 for 1/3
    assert errors("kimage_table2", "train_seconds_total_ratio")["preact_resnet18 · comixup"] == 29.34


@pytest.mark.parametrize("name", [name for name in KIMAGE if name != "kimage_table3_k"])
def test_a_mixture_of_k_images_is_compared_with_that_of_two(name):
    study, _ = load(name)
    mixers = {trial.arm: trial.config["mixer"] for trial in trials(name)}
    of_two = {"dmixup": "mixup", "dcutmix": "cutmix", "saliency_dcutmix": "cutmix"}
    compared = {arm.name: arm.against or study.baseline for arm in study.arms if mixers[arm.name] in of_two}
    assert {arm: mixers[reference] for arm, reference in compared.items()} == {
        arm: of_two[mixers[arm]] for arm in compared
    }
    assert len(compared) >= 2


def test_the_protocols_differ_in_decay_and_milestones_alone():
    for name in ("kimage_table1_pyramidnet110", "kimage_table1_pyramidnet200", "kimage_table1_cifar10"):
        found = cells(name)
        for arm in load(name)[0].arms:
            one, other = (found[f"{protocol} · {arm.name}"] for protocol in ("CutMix's code", "the authors' code"))
            differing = {key: (one[key], other[key]) for key in one if one[key] != other[key]}
            assert differing == {"weight_decay": (1e-4, 4e-5), "milestones": ((0.5, 0.75), (0.75, 0.9))}


def test_the_networks_of_tables_4_and_5_are_in_table_3():
    found = cells("kimage_table3")
    assert errors("kimage_table3", "imagenet_o_aupr").keys() == found.keys() - {"manifoldmix"}
    fgsm = {arm: round(100 - error, 2) for arm, error in errors("kimage_table3", "fgsm_error").items()}
    assert fgsm == {"none": 14.34, "cutmix": 40.89, "dcutmix": 32.90, "saliency_dcutmix": 41.37}


def test_the_study_of_styles_needs_its_file_and_prints_the_published_errors(tmp_path, monkeypatch):
    study, header = load("kimage_style")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"^mixer\.codec_file must .*'data/adain\.pt'"):
        study.trials(train)
    write_styles(tmp_path)
    found = {trial.cell: published_number(trial.config, "test_top1_error") for trial in study.trials(train)}
    assert len(found) == 2 * 4
    of_style = [trial.config for trial in study.trials(train) if trial.arm == "stylemix"]
    assert {(config["mixer.alpha"], config["mixer.probability"]) for config in of_style} == {(0.5, 0.2)}
    assert found["pyramidnet200 · stylecutmix"].value == 14.17
    assert found["preact_resnet18 · stylecutmix"].value == 20.49
    assert [cell for cell, number in found.items() if number is None] == ["preact_resnet18 · stylemix"]
    assert all(f"{number.value:.2f}" in header for number in found.values() if number is not None)


@pytest.mark.slow
def test_the_study_of_subsets_needs_scores_and_its_keys_follow_their_content(tmp_path, monkeypatch):
    study, header = load("kimage_subsampling")
    assert "4 shares x 7 arms x 6 seeds" in header
    monkeypatch.chdir(tmp_path)
    scores = Path(study.arms[1].changes["subset.scores"])
    with pytest.raises(BadInput, match=r"^subset\.scores must be a file, but there is none at"):
        study.trials(train)
    scores.parent.mkdir(parents=True)
    keys = []
    for content in ("one", "two"):
        scores.write_text(content)
        found = study.trials(train)
        assert len(found) == 4 * 7 * 6
        keys.append({trial.name: trial.key for trial in found})
    one, two = keys
    assert {name for name in one if one[name] == two[name]} == {name for name in one if "random" in name}
    quick = configure(study, complete(train), parse_options(study, ["--preset", "quick"])).trials(train)
    assert len(quick) == 4 * 7 * 3
    assert {trial.config["backbone"] for trial in quick} == {"resnet8"}


def test_every_arm_of_the_searches_of_architectures_differs_in_what_it_searches_on(tmp_path, monkeypatch):
    """How such a study runs is a test of Table 6."""
    study, _ = load("kimage_nas")
    monkeypatch.chdir(tmp_path)
    scores = Path(study.arms[-1].changes["subset.scores"])
    scores.parent.mkdir(parents=True)
    scores.write_text("scores")
    for preset in ("paper", "quick", "smoke"):
        train = complete(search_architecture.train)
        found = {trial.arm: trial for trial in configure(study, train, Options(preset=preset)).trials(train)}
        assert set(found) == {arm.name for arm in study.arms}
        assert len({trial.key for trial in found.values()}) == len(found)
        assert {trial.config["dataset"] for trial in found.values()} == {"cifar100" if preset == "paper" else "cifar10"}
        assert found["random t = 0.2"].config["subset.share"] == 0.2
        short = found["all images (10 epochs)"].config
        assert (short["search_epochs"], short["frozen_epochs"]) == (10, 5)
        whole = found["all images"].config
        assert (whole["search_epochs"], whole["frozen_epochs"]) == ((50, 15) if preset == "paper" else (20, 6))
