"""The report of a study has the published numbers of its cells; and what its cells need is had once each."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import analysis.ablation_table
from mixlab import Arm, Study, launch
from mixlab.study import Trial
from trainables.classify import Classification
from trainables.recipes import CIFAR100_RESNET18

STUDY = Study(
    name="toy",
    base={**CIFAR100_RESNET18, "mixer": "cutmix"},
    arms=(Arm("baseline", {}), Arm("SUMix", {"sumix.lam": "learned", "sumix.regulariser": "su"})),
    seeds=range(2),
)


def reported(study: Study, monkeypatch: pytest.MonkeyPatch) -> Any:
    given: list[Any] = []

    def write(*args: Any, published: Any, **kwargs: Any) -> Any:
        given.append(published)
        raise ValueError("nothing finished")

    monkeypatch.setattr(analysis.ablation_table, "write_study_table", write)
    trials = study.trials(Classification().resolve)
    options = argparse.Namespace(tracking_uri="sqlite:///nowhere.db")
    launch._report(study, {}, trials, options, Path("nowhere"), None, Console(quiet=True))  # type: ignore[arg-type]
    return given[0]


def test_the_paper_s_numbers_go_beside_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reported(STUDY, monkeypatch) == {("baseline",): 78.17, ("SUMix",): 79.78}


def test_a_run_that_nobody_printed_has_no_column_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reported(STUDY.with_base(epochs=3), monkeypatch) is None


def test_data_and_weights_are_had_once_each(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    class Toy(Classification):
        def prepare(self, config: Any, data_root: Path) -> None:
            asked.append((config["dataset"], config["backbone"]))

    trials = [
        Trial("key", "arm", {}, seed, {"dataset": dataset, "backbone": backbone, "pretrained": "V1"})
        for seed in (0, 1)
        for dataset in ("birds", "planes")
        for backbone in ("small", "large")
    ]
    launch.prepare(Toy(), trials, tmp_path)
    assert asked == [(d, b) for d in ("birds", "planes") for b in ("small", "large")]
