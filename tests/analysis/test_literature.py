"""Every published number is shown by some command, and those of a study's settings next to its own."""

from fractions import Fraction
from typing import Any

import pandas as pd
import pytest

from analysis import detection, literature, out_of_distribution, robustness
from analysis.records.published import (
    EXACT,
    FOUND,
    IF_KNOWN,
    matching,
    printed,
    published_number,
    published_numbers,
    settings_of,
)
from tests.analysis.planned import make_plan
from trainables.metric import METRICS
from trainables.mixers import MIXERS
from trainables.recipes import CIFAR100_RESNET18
from trainables.search_architecture import METRICS as SEARCH_METRICS

# Each command that measures, and the metrics that it puts next to the papers'.
SHOWN = {
    "ablation_table": [
        *dict.fromkeys(metric.name for metric in (*METRICS, *SEARCH_METRICS)),
        "train_seconds_total_ratio",
    ],
    "robustness": list(robustness.MEASURES),
    "out_of_distribution": list(out_of_distribution.MEASURES),
    "localisation": ["max_box_acc_v2"],
    "detection": [f"{layout}_{name}" for layout in detection.JUDGES for name in detection.MEASURES],
}


def config_of(number: dict[Any, Any]) -> dict[str, Any]:
    """Return the configuration of a run that a published number is of."""
    terms = number["sumix"].split("+")
    known = {key: number[column] for column, key in IF_KNOWN.items() if pd.notna(number[column])}
    regulariser = next((term for term in terms if term not in ("lam", "none")), "none")
    learned = "learned" if "lam" in terms else "fixed"
    named = {key: text for key, text in settings_of(number).items() if text not in ("", "None")}
    known |= {key: _value(text) for key, text in named.items()}
    cell = {key: number[key] for key in EXACT}
    if number["backbone"] == FOUND:
        cell = {"retrain.dataset": number["dataset"], "epochs": number["epochs"]}
    return {**cell, **known, "sumix.lam": learned, "sumix.regulariser": regulariser}


def _value(text: str) -> Any:
    """Return a whole number, a fraction, true or false, or a word."""
    if not text[0].isdigit():
        return {"True": True, "False": False}.get(text, text)
    return int(text) if text.isdigit() else float(Fraction(text))


def runs_of(number: dict[Any, Any]) -> pd.DataFrame:
    """Return the one finished run of such a configuration, with nothing measured."""
    config = {f"config.{key}": str(value) for key, value in config_of(number).items()}
    return pd.DataFrame([{"run_id": "a", "status": "done", **config}])


def commands_for(number: dict[Any, Any]) -> list[str]:
    """Return the commands that show the number where its run was done."""
    found = []
    for name, metrics in SHOWN.items():
        for metric in metrics:
            turned = [ours(number["value"]) for theirs, ours in printed(metric) if theirs == number["metric"]]
            if not turned:
                continue
            ours = published_number(config_of(number), metric)
            if ours is not None and (ours.value, ours.source) in [(value, number["source"]) for value in turned]:
                found.append(name)
    return found


@pytest.mark.slow
def test_every_line_is_shown_by_the_command_that_measures_it_or_it_is_no_run_of_ours():
    """A number without a command is of a method that is not here, or another source prints the same run as well."""
    for number in published_numbers().to_dict("records"):
        if number["mixer"] in MIXERS and not commands_for(number):
            sources = [row["source"] for row in matching(config_of(number), number["metric"])]
            assert number["source"] in sources, number
            assert len(sources) > 1, number


@pytest.mark.slow
def test_what_no_other_command_shows_is_in_the_literature():
    left = [number for number in published_numbers().to_dict("records") if not commands_for(number)]
    assert left
    for number in left:
        found = literature.literature(runs_of(number))
        assert ((found["paper"] == number["value"]) & (found["source"] == number["source"])).any(), number


@pytest.mark.parametrize("metric", ["fgsm_release_error", "max_box_acc_v2", "ece", "pgd_grey_top1", "top5_error"])
def test_the_rare_metrics_are_measured_by_the_command_of_their_name(metric):
    names = {"max_box_acc_v2": "localisation", "top5_error": "ablation_table"}
    numbers = published_numbers()[published_numbers()["metric"] == metric].to_dict("records")
    assert numbers
    assert {name for number in numbers for name in commands_for(number)} == {names.get(metric, "robustness")}


def test_ours_stands_next_to_theirs_in_their_terms(track, out, capsys):
    study, lam = track(), {"baseline": "fixed", "+ lam": "learned"}

    def config(trial: dict[str, Any]) -> dict[str, Any]:
        return {**CIFAR100_RESNET18, "mixer": "cutmix", "sumix.lam": lam[trial["arm"]], "sumix.regulariser": "none"}

    study.add_all(make_plan(arms=tuple(lam), seeds=2), lambda trial: 78.0 + trial["seed"], config, epochs=800)
    assert study.call(literature, "--out", str(out)) == 0
    assert "adautomix" in capsys.readouterr().out
    found = pd.read_csv(out / "literature.csv").set_index(["mixer", "sumix", "metric", "source"]).sort_index()
    sources = {"none": "OpenMixup docs/en/mixup_benchmarks/Mixup_cifar.md", "lam": "SUMix Table 6"}
    for terms, theirs in (("none", 78.17), ("lam", 79.13)):
        row = found.loc[("cutmix", terms, "top1", sources[terms])]
        assert (row["paper"], row["ours"]) == (theirs, 78.5)
    assert found.loc["adautomix", "ours"].isna().all()


def test_a_study_on_a_part_of_the_data_has_no_literature(track, capsys):
    study = track()
    study.add_all(make_plan(seeds=1), lambda _: 40.0, lambda _: {"train_images": 4000})
    assert study.call(literature) == 2
    assert "no run of the study has started on a whole data set" in capsys.readouterr().err
