"""The published numbers add up as their papers say, name things that exist, and are found for their own runs."""

from typing import Any

import pytest

from analysis.ablation_table import study_table
from analysis.records.published import (
    FILE,
    printed,
    published_number,
    published_numbers,
    published_of_runs,
    sumix_terms,
)
from analysis.records.runs import load_runs
from tests.analysis.planned import make_plan
from trainables import recipes
from trainables.backbones import BACKBONES
from trainables.config import flatten, parse
from trainables.datasets import DATASETS
from trainables.mixers import MIXERS

SUMIX = {"sumix.lam": "learned", "sumix.regulariser": "su"}


def resolved(recipe: recipes.Recipe, **keys: Any) -> dict[str, Any]:
    keys = {key.replace("__", "."): value for key, value in keys.items()}
    config = {**recipe, **keys}
    return flatten(parse({**config, **recipes.sumix_settings(config), **keys}))


def value(config: dict[str, Any], metric: str = "top1") -> float:
    number = published_number(config, metric)
    return number.value


def test_every_row_names_what_is_there():
    rows = published_numbers()
    assert len(rows) > 500
    assert set(rows["dataset"]) <= set(DATASETS)
    assert set(rows["backbone"]) <= set(BACKBONES) | {"pc_darts"}
    assert set(rows["mixer"]) - set(MIXERS) == {"smmix"}  # a method without a mixer
    assert set(rows["sumix"]) == {"none", "lam", "lam+s", "lam+u", "lam+su"}
    assert set(rows["rule"]) == {"", "median5", "median10", "best10", "best"}
    # OpenMixup on ImageNet: the median of the last 5 epochs of 100 and the last 10 of 300; of transformers the best.
    shown = rows[rows["source"].str.contains("Mixup_imagenet") & (rows["dataset"] == "imagenet")]
    transformers = shown["backbone"].isin(recipes.TRANSFORMERS)
    medians = shown["epochs"].map({100: "median5", 300: "median10"})
    assert (shown["rule"] == medians.mask(transformers, "best")).all()
    percent = rows[~rows["metric"].isin(["mflops", "params_millions", "search_gpu_days"])]
    assert percent["value"].between(0, 100, inclusive="neither").all()
    assert rows["source"].str.len().gt(10).all()


def test_every_number_is_there_once():
    rows = published_numbers()
    assert not rows.duplicated([column for column in rows.columns if column not in ("value", "rule")]).any()
    text = FILE.read_text(encoding="utf-8")
    assert "\r" not in text
    assert len(set(text.splitlines())) == len(rows) + 1


# SUMix prints this under its Tables 1 and 2: the mean over the four mixers of its gain.
@pytest.mark.parametrize(
    ("recipe", "backbone", "gain"),
    [
        (recipes.CIFAR100_RESNET18, "resnet18", 0.82),
        (recipes.CIFAR100_RESNEXT50, "resnext50", 1.07),
        (recipes.CIFAR100_WRN28_8, "wrn28_8", 0.12),
        (recipes.TINY_IMAGENET, "resnet18", 0.76),  # the paper prints 0.81, which its four pairs do not give
        (recipes.TINY_IMAGENET, "resnext50", 2.07),
        (recipes.IMAGENET_RESNET18, "resnet18_imagenet", 0.47),
        (recipes.CUB200, "resnet18_imagenet", 0.93),
        (recipes.CUB200, "resnext50_imagenet", 0.10),
        (recipes.AIRCRAFT, "resnet18_imagenet", 0.83),  # the paper prints 0.82
        (recipes.AIRCRAFT, "resnext50_imagenet", 0.76),  # the paper prints 0.67
        (recipes.CIFAR100_DEIT_SMALL, "deit_small", 0.57),
        (recipes.CIFAR100_SWIN_TINY, "swin_tiny", 0.23),
    ],
)
def test_the_gains_of_sumix_are_those_it_prints(recipe, backbone, gain):
    pairs = [
        value(resolved(recipe | SUMIX, mixer=mixer, backbone=backbone))
        - value(resolved(recipe, mixer=mixer, backbone=backbone))
        for mixer in ("cutmix", "fmix", "saliencymix", "resizemix")
    ]
    assert sum(pairs) / 4 == pytest.approx(gain, abs=0.006)


def test_the_ablation_is_table_6():
    terms = [("fixed", "none"), ("learned", "none"), ("learned", "s"), ("learned", "u"), ("learned", "su")]
    for recipe, mixer, numbers in (
        (recipes.CIFAR100_RESNET18, "cutmix", [78.17, 79.13, 79.51, 79.60, 79.78]),
        (recipes.CIFAR100_RESNET18, "saliencymix", [79.12, 79.79, 78.71, 79.43, 79.91]),
        (recipes.CUB200, "fmix", [77.28, 79.03, 79.03, 79.24, 79.24]),
        (recipes.CUB200, "saliencymix", [75.77, 76.46, 76.34, 76.72, 76.98]),
    ):
        configs = [resolved(recipe, mixer=mixer, sumix__lam=lam, sumix__regulariser=r) for lam, r in terms]
        assert [value(config) for config in configs] == numbers


def test_another_run_has_no_published_number():
    config = resolved(recipes.CIFAR100_RESNET18, mixer="cutmix")
    assert value(config) == 78.17
    assert value(config, "fgsm_release_error") == 91.15
    for change in (
        *({"epochs": 4}, {"train_images": 4000}, {"backbone": "resnet8"}, {"dataset": "fashion_mnist"}),
        *({"mixer.alpha": 1.0}, {"weight_decay": 5e-4}, {"sumix.regulariser": "s"}),
        *({"lr": 0.2}, {"batch_size": 50}, {"augment.padding": "zeros"}, {"clean_loss": 1.0}, {"accumulate": 2}),
        *({"mixer.probability": 0.5}, {"mixer.label": "drawn"}, {"mixer.per_batch": True}, {"validation": 0.1}),
        *({"init": "torch_default"}, {"grad_clip": 1.0}, {"schedule": "linear"}, {"pretrained": "IMAGENET1K_V1"}),
    ):
        assert published_number({**config, **change}) is None, change
    pyramid = resolved(recipes.CUTMIX_PYRAMIDNET200, mixer="none")
    assert value(pyramid, "top1_error") == 16.45
    assert value({**pyramid, "drop_path": 0.25}, "top1_error") == 15.86
    for change in ({"drop_path": 0.5}, {"drop_block": 0.1, "drop_block_size": 7}, {"label_smoothing": 0.3}):
        assert published_number({**pyramid, **change}, "top1_error") is None, change
    whole = {**config, **SUMIX}
    assert value(whole) == 79.78
    for change in ({"sumix.zeta": 0.1}, {"sumix.z": "features"}, {"mixer.label": "drawn"}, {"sumix.sem_scale": 2.0}):
        assert published_number({**whole, **change}) is None, change


def test_an_option_of_a_term_of_sumix_that_is_switched_off_changes_no_number():
    config = {**resolved(recipes.CIFAR100_RESNET18, mixer="cutmix"), **SUMIX}
    lam = {**config, "sumix.regulariser": "none"}
    assert value(lam) == 79.13
    assert value({**lam, "sumix.zeta": 3.0, "sumix.distance_gradient": "detach"}) == 79.13
    assert published_number({**lam, "sumix.lam_gradient": "flow"}) is None
    assert published_number({**config, "sumix.distance_gradient": "detach"}) is None


def test_a_run_that_differs_in_last_digits_at_most_has_its_published_number():
    config = resolved(recipes.CIFAR100_RESNET18, mixer="cutmix")
    quick = {"compile": True, "cuda_graph": "auto", "deterministic": True, "rerun": 2, "precision": "float32"}
    assert value({**config, **quick}) == 78.17
    plain = resolved(recipes.CIFAR100_RESNET18, mixer="none")
    assert value({**plain, "mixer.alpha": 5.0, "mixer.probability": 0.5, "sumix.zeta": 3.0}) == 78.04
    older = {key: value for key, value in config.items() if not key.startswith(("subset.", "mixer.groups"))}
    assert value(older) == 78.17
    assert published_number({**config, "sumix.preset": "of another version"}) is None


def test_conditions_tell_two_numbers_of_one_cell_apart():
    config = resolved(recipes.CIFAR100_RESNEXT50, mixer="cutmix")
    assert value(config) == 78.32
    assert value({**config, "weight_decay": 5e-4}) == 81.67  # AutoMix
    bird = published_number(resolved(recipes.CUB200, mixer="saliencymix"))
    assert (bird.value, bird.source) == (75.77, "SUMix Table 2")  # OpenMixup has 77.95


def test_a_number_whose_paper_does_not_state_k_and_alpha_stands_beside_any():
    for options in ({}, {"mixer.num_images": 2, "mixer.alpha": 0.5}):
        config = resolved(recipes.CIFAR100_PREACT_RESNET18, mixer="dcutmix") | options
        assert value(config, "top1_error") == 20.50
        assert published_number({**config, "epochs": 200}, "top1_error") is None


def test_options_that_a_table_varies_tell_its_rows_apart():
    config = resolved(recipes.CIFAR100_RESNET18, mixer="automix")
    assert value(config) == value({**config, "mixer.pipeline": "mp_ce"}) == 82.04
    assert value({**config, "mixer.pipeline": "mp"}) == 81.93
    samix = resolved(recipes.CIFAR100_RESNET18, mixer="samix")
    assert value(samix) == value({**samix, "mixer.pipeline": "mp_ce"}) == 82.30
    assert published_number({**samix, "mixer.pipeline": "none"}) is None
    mixup = resolved(recipes.CIFAR100_RESNET18, mixer="mixup")
    assert value(mixup) == value({**mixup, "mixer.pipeline": "none"}) == 79.12
    assert value({**mixup, "mixer.pipeline": "mp_ce"}) == 80.41
    tiny = resolved(recipes.TINY_IMAGENET, mixer="automix")
    assert [value({**tiny, "mixer.layer": layer}) for layer in (1, 2, 3, 4)] == [67.30, 67.27, 67.33, 67.32]
    assert value({**tiny, "mixer.masks": "grids"}) == 64.40
    assert value({**tiny, "mixer.mask_weight": 0.0, "mixer.lam_channel": True}) == 67.15
    assert published_number({**tiny, "mixer.mask_weight": 0.2}, "top1") is None


def test_an_error_is_turned_into_an_accuracy_of_as_many_decimals():
    assert {name: ours(21.29) for name, ours in printed("test_top1")} == {"top1": 21.29, "top1_error": 78.71}


def test_the_terms_of_sumix_are_named_as_in_the_file():
    assert sumix_terms({}) == sumix_terms({"sumix.lam": "fixed", "sumix.regulariser": "none"}) == "none"
    assert sumix_terms({"sumix.lam": "fixed", "sumix.regulariser": "u"}) == "u"
    assert sumix_terms(SUMIX) == "lam+su"


def test_runs_of_a_study_find_the_numbers_that_its_trials_find(track):
    study, plan = track(), make_plan(arms=("baseline", "SUMix", "short"), seeds=1)
    terms = {"baseline": {}, "SUMix": SUMIX, "short": {"epochs": 1}}
    base = {**recipes.CIFAR100_RESNET18, "mixer": "cutmix"}
    study.add_all(plan, lambda _: 78.0, lambda trial: flatten(parse({**base, **terms[trial["arm"]]})))
    found = published_of_runs(load_runs(study.uri, study.study, plan), ["mixer"])
    values = {cell: number.value for cell, number in found.items()}
    assert values == {("cutmix", "baseline"): 78.17, ("cutmix", "SUMix"): 79.78}
    shown = study_table(study.uri, study.study, plan).text
    assert "78.17" in shown
    assert "ours − paper" in shown
