"""The studies of AutoMix are the tables of its paper."""

import re

import pytest

from analysis.records.published import matching
from tests.studies.cells import cells, load, trials
from trainables.recipes import cell_settings

# studies: how many cells they have, and how many of them have a published number in their header
AUTOMIX = {
    "automix_table1_cifar10": (2 * 10, 2 * 10),
    "automix_table1_cifar100": (3 * 10, 3 * 10),
    "automix_table1_tiny": (2 * 10, 2 * 10),
    "automix_table2_imagenet": (2 * 5 * 9, 9 * 9),  # ResNeXt-101 was not trained for 300 epochs
    "automix_table3_fine_tuned": (2 * 2 * 9, 2 * 2 * 9),
    "automix_table3_inaturalist": (2 * 2 * 9, 2 * 2 * 9),
    "automix_table3_places205": (2 * 9, 2 * 9),
    "automix_deit_imagenet": (3 * 7, 3 * 7),
    "automix_rsb_imagenet": (2 * 2, 2 * 2),
    "automix_vits_cifar100": (3 * 11, 3 * 11),
    "automix_table4_robustness": (6, 0),  # its numbers are of another metric
    "automix_figure6_collapse": (2, 2),
    "automix_table7_mix_block": (2 * 4, 2 * 4),
    "automix_table8_pipeline": (3 * 3 * 4, 30),  # m = 0 for the Mix Block alone
    "automix_table9_layer": (2 * 5, 2 * 5),
    "automix_figure9_alpha": (2 * 5, 2),
    "automix_definitions": (8, 4),  # an arm between the paper and its code is of neither
    "automix_successors": (2 * 3, 2 * 3),
}


@pytest.mark.parametrize(("name", "count", "with_number"), [(name, *counts) for name, counts in AUTOMIX.items()])
def test_a_study_has_its_cells_and_its_header_prints_their_published_numbers(name, count, with_number):
    """Each cell has a number that the paper, or OpenMixup's benchmark, prints for its configuration."""
    assert (len(cells(name)), len(trials(name))) == (count, 6 * count)
    printed = set() if name == "automix_table4_robustness" else set(re.findall(r"\d\d\.\d\d", load(name)[1]))
    known = [{f"{row['value']:.2f}" for row in matching(config, "top1")} for config in cells(name).values()]
    assert sum(bool(numbers & printed) for numbers in known) == with_number
    assert count > with_number or all(numbers & printed for numbers in known if numbers)


def test_the_table_of_robustness_has_its_numbers():
    _, header = load("automix_table4_robustness")
    rows = {row[0]: row[1:] for row in map(str.split, header.splitlines()) if len(row) == 4}
    for config in cells("automix_table4_robustness").values():
        for column, metric in enumerate(("clean_top1", "corruption_top1", "fgsm_error")):
            (value,) = (row["value"] for row in matching(config, metric))
            assert rows[config["mixer"]][column] == f"{value:.2f}"


def test_figure_9_has_the_papers_values_of_alpha():
    found = cells("automix_figure9_alpha")
    for dataset in ("cifar100", "tiny_imagenet"):
        alphas = [config["mixer.alpha"] for config in found.values() if config["dataset"] == dataset]
        assert sorted(alphas) == [0.2, 0.5, 1.0, 2.0, 4.0]


def test_each_definition_changes_one_choice_of_the_paper_to_the_releases():
    study, _ = load("automix_definitions")
    found = cells("automix_definitions")
    paper, release = found["paper"], found["release"]
    assert [arm.against for arm in study.arms[3:]] == ["paper"] * 5
    for arm in study.arms[4:]:
        changed = {key: value for key, value in found[arm.name].items() if value != paper[key]}
        assert changed == {f"mixer.{arm.name}": release[f"mixer.{arm.name}"]}


def test_each_part_of_the_mix_block_is_compared_with_the_block_before_it():
    study, _ = load("automix_table7_mix_block")
    names = [arm.name for arm in study.arms]
    assert [arm.against or study.baseline for arm in study.arms[1:]] == names[:-1]


# Studies whose cells differ in nothing but their data set, network and mixer, with the options of a start.
BY_CELL = (
    "automix_table1_cifar10",
    "automix_table1_cifar100",
    "automix_table1_tiny",
    "automix_table3_fine_tuned",
    "automix_table3_inaturalist",
    "automix_table3_places205",
    "automix_deit_imagenet",
    "automix_vits_cifar100",
    "automix_table1_cifar100 --backbones deit_small",
    "automix_table1_cifar10 --backbones wrn28_8",
)


@pytest.mark.parametrize("start", BY_CELL)
def test_a_level_that_changes_the_network_changes_to_its_recipe(start):
    for config in cells(*start.split()).values():
        wanted = cell_settings({key: config[key] for key in ("dataset", "backbone", "mixer")})
        assert {key: config[key] for key in wanted} == wanted
