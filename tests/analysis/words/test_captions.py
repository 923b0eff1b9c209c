"""The captions of tables and figures: rules, units, seeds and provenance."""

import math
from argparse import Namespace
from dataclasses import replace

import numpy as np
import pytest

from analysis.evaluation import Evaluation
from analysis.records.runs import provenance
from analysis.words.captions import label_text, metric_text, provenance_text, seeds_text, unit
from analysis.words.conclusions import answer
from analysis.words.notes import notes
from analysis.words.rendering import terminal_text
from mixlab.spec.metric import Metric, find
from tests.analysis.planned import METRICS, VALUE, tables_of
from tests.analysis.words.five_arms import ARMS, full, level_of

OWN = "0123456789abcdef"  # the commit of the runs


@pytest.mark.parametrize(
    ("metric", "epochs", "expected"),
    [
        ("test_top1_median10", [200], "top-1 accuracy, %, median of the last 10 epochs"),
        ("test_top1_median10", [10], "top-1 accuracy, %, median of all epochs"),
        ("test_top1_median10", [4, 4], "top-1 accuracy, %, median of all epochs"),
        ("test_top1_median10", [4, 200], "top-1 accuracy, %, median of the last 10 epochs or median of all epochs"),
        ("test_top1_median10", [], "top-1 accuracy, %, median of the last 10 epochs"),
        ("test_top1_last", [4], "top-1 accuracy, %, last epoch"),
        ("train_loss", [4], "training loss, nats (lower is better)"),
        ("params", [4], "params"),
    ],
)
def test_the_rule_of_the_metric(metric, epochs, expected):
    assert metric_text(find(METRICS, metric) or Metric(metric, label=metric), metric, epochs) == expected


def test_provenance_and_the_label_of_an_axis_which_has_the_unit_if_there_is_one():
    shown = [
        (label_text(metric), unit(metric)) for metric in (Metric("e", of, label="error") for of in ("%", "nats", ""))
    ]
    assert shown == [("error, %", "percentage points"), ("error, nats", "nats"), ("error", "error")]
    assert [seeds_text(seeds) for seeds in ([5], [5, 2, 1, 0], [0, 2, 3])] == ["seed 5", "seeds 0–2, 5", "seeds 0, 2–3"]
    assert provenance_text(level_of(full())) == (
        "cifar10, resnet20, 20 epochs, n = 3, seeds 0–2, commit 0123456789ab, data feedc0de."
    )


@pytest.mark.parametrize(
    ("commits", "dirty", "told"),
    [
        (("aaa",), (), "commit aaa,"),
        (("aaa",), (0, 1, 2), "commit aaa (with uncommitted changes),"),
        (("aaa",), (1,), "commit aaa (1 of 3 runs with uncommitted changes),"),
        (("aaa", "bbb", "ccc"), (), "commits aaa, bbb and ccc,"),
        (("aaa and then bbb",), (), "commits aaa and bbb (begun at one and resumed at another),"),
        (
            ("aaa and then bbb", "bbb", "bbb"),
            (),
            "commits aaa and bbb (1 of 3 runs begun at one and resumed at another),",
        ),
        (
            ("aaa", f"aaa and then {'b' * 40}", f"{'b' * 40} and then ccc"),
            (1, 2),
            "commits aaa, bbbbbbbbbbbb and ccc (2 of 3 runs with uncommitted changes; "
            "2 of 3 runs begun at one and resumed at another),",
        ),
    ],
)
def test_a_caption_names_every_commit_once(commits, dirty, told):
    def change(runs):
        each = [commits[seed % len(commits)] for seed in runs["seed"]]
        return runs.assign(commit=each, dirty=runs["seed"].isin(dirty))

    assert f", {told} data feedc0de." in provenance_text(level_of(full(arms=ARMS[:1]), arms=ARMS[:1], change=change))


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ([(OWN, "none")], ""),
        ([], ""),  # an earlier version evaluated
        ([(OWN, "d1f")], f" The networks were evaluated at commit {OWN[:12]}, with uncommitted changes."),
        (
            [("ccc", "none"), ("bbb", "none"), (OWN, "none")],
            f" The networks were evaluated at commits {OWN[:12]}, bbb and ccc.",
        ),
    ],
)
def test_the_code_that_evaluated_is_told_where_another_trained(codes, told):
    level = level_of(full())
    found = {"one": {}, **{str(code): {"code": list(code)} for code in codes}}
    assert Evaluation(Namespace(), {}, level.runs, found).provenance(level) == provenance_text(level) + told


@pytest.mark.parametrize(("count", "said"), [(4, "data 0, 1, 2 and 3."), (5, "data of 5 fingerprints.")])
def test_a_caption_counts_fingerprints_that_are_many(count, said):
    """A study of subsets has one a subset, so that captions were mostly digests."""
    level = level_of(full(5, ARMS[:1]), 5, ARMS[:1], lambda runs: runs.assign(data=(runs["seed"] % count).map(str)))
    assert provenance_text(level).endswith(said)


def test_a_part_of_the_data_is_told_of_those_runs_alone_that_read_no_more():
    """A figure of two data sets may show one of them whole."""
    column = "config.train_images"
    level = level_of(full(), change=lambda runs: runs.assign(**{column: np.where(runs["seed"] == 0, "300", "None")}))
    assert provenance_text(level).startswith("cifar10, only 300 training images in 5 of 15 runs, resnet20, ")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"train_images": "300", "test_images": "None"}, "cifar10, only 300 training images, resnet20"),
        ({"retrain.dataset": "imagenet"}, "cifar10, then imagenet, resnet20"),
        ({"dataset": "folder", "folder": "photographs"}, "folder, photographs, resnet20"),
        ({"folder": "None", "retrain.dataset": "None"}, "cifar10, resnet20"),
        ({"backbone": ["a", "b", "c"] * len(ARMS)}, "cifar10, a, b and c, 20 epochs"),
    ],
)
def test_what_was_trained_on_which_images_is_told(settings, told):
    columns = {f"config.{name}": value for name, value in settings.items()}
    assert told in provenance_text(level_of(full(), change=lambda runs: runs.assign(**columns)))


def test_unequal_n_and_missing_cells_are_told():
    values = full()
    del values["+ lam", 1]

    def interrupt(runs):
        runs.loc[runs["key"] == runs["key"].iloc[-1], ["status", VALUE]] = ["interrupted", math.nan]
        return runs

    level = level_of(values, change=interrupt)
    text = "\n".join(notes(level))
    assert "The arms differ in n; a gain uses only the seeds that both arms have." in text
    assert "Interrupted: '+ l_su' seed 2.\nPending: '+ lam' seed 1." in text
    # Nobody may stop at a good look.
    assert "Not every seed of the study is done yet: p and the verdict hold once all are" in text
    assert "n = 2 to 3" in provenance_text(level)


def test_failed_cells_are_told_with_their_error_and_finished_ones_without_a_value():
    def fail(runs):
        for row, error in (1, "RuntimeError: loss is NaN"), (2, ""):
            runs.loc[row, ["status", "error"]] = ["failed", error]
        runs.loc[:2, VALUE] = math.nan
        return runs

    text = "\n".join(notes(level_of(full(), change=fail)))
    for seed, error in (1, "RuntimeError: loss is NaN"), (2, "no error was recorded"):
        assert f"Failed: mixer = cutmix, 'baseline', seed {seed}: {error}" in text
    assert "Finished without a finite value of test_top1_median10, and not counted: 'baseline' seed 0." in text
    assert "Not every seed" not in text  # nothing more will come
    many = notes(level_of(full(), change=lambda runs: runs.assign(status=[*["failed"] * 12, *["done"] * 3])))
    assert [line for line in many if line.startswith("Failed")][10:] == ["Failed: 2 more."]


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("epochs", 40, "differ in epochs: 40 in 1 run, 20 in 14 runs"),
        ("commit", "ffff", "differ in commit: ffff in 1 run, 0123456789ab in 14 runs"),
        (
            "commit",
            f"{'a' * 40} and then 0123456789abcdef",
            "differ in commit: aaaaaaaaaaaa and then 0123456789ab in 1 run, 0123456789ab in 14 runs",
        ),
        ("data", "beef", "differ in data fingerprint: beef in 1 run, feedc0de in 14 runs"),
        ("data", "", "differ in data fingerprint: unknown in 1 run, feedc0de in 14 runs"),
        ("hardware", "a GPU of any name", "differ in hardware: a GPU of any name in 1 run, a CPU in 14 runs"),
        ("versions", "torch 3", "differ in versions: torch 3 in 1 run, torch 2 in 14 runs"),
        ("patch", "f00d", "differ in uncommitted changes: f00d in 1 run, none in 14 runs"),
        ("dirty", True, "1 of 15 runs had uncommitted changes"),
    ],
)
def test_what_is_uneven_is_told(column, value, told):
    def change(runs):
        runs.loc[0, column] = value
        return runs

    lines = notes(level_of(full(), change=change))
    assert len(lines) == 1
    assert told in lines[0]
    assert column == "dirty" or lines[0].endswith(". Differences between them may be due to that.")


def test_searches_of_different_numbers_of_trials_are_told():
    level = level_of(full())
    assert notes(replace(level, tried=dict.fromkeys(ARMS, 6))) == []
    (line,) = notes(replace(level, tried={"baseline": 6, "+ lam": 4}))
    assert line.startswith("The arms show the best of different numbers of a search's trials: 'baseline' 6, '+ lam' 4.")


def test_data_that_differ_by_design_are_not_told():
    def change(runs):
        return runs.assign(data=runs["arm"], **{"config.subset.rule": runs["arm"], "config.subset.share": "0.1"})

    assert notes(level_of(full(), change=change)) == []
    (line,) = notes(level_of(full(), change=lambda runs: change(runs).assign(data=runs["seed"].map(str))))
    assert line.startswith("The runs differ in data fingerprint: 0 in 5 runs, 1 in 5 runs, 2 in 5 runs.")
    (line,) = notes(level_of(full(), change=lambda runs: change(runs).assign(hardware=runs["arm"])))
    assert line.startswith("The runs differ in hardware: baseline in 3 runs, ")


def test_of_an_installation_without_a_repository_nothing_is_said_of_changes():
    unknown = {"commit": "unknown", "dirty": True, "patch": "unknown", "epochs": math.nan, "data": ""}
    level = level_of(full(), change=lambda runs: runs.assign(**unknown).drop(columns="config.backbone"))
    assert provenance_text(level) == "cifar10, n = 3, seeds 0–2, commit unknown."
    assert notes(level) == []
    assert set(provenance(level.runs)["uncommitted changes"]) == {"unknown"}


@pytest.mark.parametrize(("metric", "what"), [("compile_speedup", "Compilation"), ("graph_speedup", "A CUDA graph")])
@pytest.mark.parametrize(("speedup", "said"), [(0.8, True), (1.3, False), (math.nan, False)])
def test_what_should_speed_steps_up_and_slows_them_down_is_told(metric, what, speedup, said):
    sway = {0: 0.5, 1: 1.0, 2: 2.0}  # by seed, about the median
    level = level_of(full(), change=lambda runs: runs.assign(**{f"metric.{metric}": speedup * runs["seed"].map(sway)}))
    note = f"{what} slowed the steps down to 0.80 times their speed without it (median of runs)."
    assert notes(level) == ([note] if said else [])


def test_a_win_whose_interval_holds_zero_is_explained():
    gains = {"baseline": [0.0] * 6, "+ lam": [0.1, 0.2, 0.1, 0.2, 0.1, 5.0], "+ l_s": [1.0, 1.1, 0.9, 1.0, 1.2, 0.8]}
    (level,) = tables_of(
        {(arm, seed): 70 + gain for arm, row in gains.items() for seed, gain in enumerate(row)}, seeds=6
    )
    assert level.table["verdict"].tolist() == ["", "win", "win"]
    (said,) = notes(level)
    assert said.startswith("Told apart although the interval holds 0: '+ lam'. A t interval assumes normal differences")


def test_other_seeds_of_the_same_number_are_told():
    values = full()
    del values["baseline", 1], values["+ lam", 2]
    level = level_of({cell: value for cell, value in values.items() if cell[0] in ARMS[:2]}, arms=ARMS[:2])
    assert list(level.table["n"]) == [2, 2]
    assert level.table.loc["+ lam", "pairs"] == 1
    assert answer([level]).startswith("The one comparison, paired over 1 seed, has too few seeds.")
    assert "The arms differ in their seeds; a gain uses only the seeds that both arms have." in notes(level)


@pytest.mark.parametrize("all_dirty", [True, False])
def test_a_remark_below_several_tables_counts_the_runs_of_the_one_that_it_names(all_dirty):
    def change(runs):
        hardware = runs["seed"].map({0: "a CPU", 1: "a GPU", 2: "a GPU"})
        return runs.assign(dirty=all_dirty | (runs["seed"] == 0), hardware=hardware)

    levels = tables_of(full(arms=ARMS[:2]), ARMS[:2], 3, {"mixer": ("cutmix", "fmix")}, change)
    text = terminal_text("tiny", levels).replace("\n", " ")
    for mixer in ("cutmix", "fmix"):
        assert f"The runs of mixer = {mixer} differ in hardware: a CPU in 2 runs, a GPU in 4 runs." in text
        assert (f"2 of 6 runs of mixer = {mixer} had uncommitted changes" in text) is not all_dirty
    assert text.count("Every run had uncommitted changes") == all_dirty


def test_one_of_anything_is_in_the_singular():
    one = full(seeds=1)
    level = level_of(one, seeds=1, change=lambda runs: runs.assign(**{"epochs": 1, "config.train_images": "1"}))
    assert provenance_text(level).startswith("cifar10, only 1 training image, resnet20, 1 epoch, n = 1, seed 0,")


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ({"seeds": [4], "comparisons": 0}, None),  # nothing can be claimed with four
        ({"seeds": [6]}, "Looked at before: a table of 6 seeds. p holds only if the present seeds had been chosen by"),
        ({"seeds": [6, 7], "until_decided": True}, "before: a table of 6 seeds, a table of 7 seeds, seeds that were"),
        ({"comparisons": 2}, "Other tables of the study made 2 more comparisons with these runs, for which p (family)"),
        ({"metrics": ["test_top1_best"]}, "Earlier tables of the study compared test_top1_best; p (family) is not"),
    ],
)
def test_what_was_looked_at_before_is_named(looks, said):
    text = " ".join(terminal_text("tiny", tables_of(full(6, ARMS[:2]), ARMS[:2], 6, looks=looks)).split())
    if said is None:
        assert "Looked at before" not in text
        assert "Other tables" not in text
    else:
        assert said in text
