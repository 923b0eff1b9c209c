"""Evaluating checkpoints from a real MLflow store, and the occlusion curves made from them."""

import json
import os
import signal
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from analysis import occlusion
from analysis.networks.evaluate import all_of, open_images
from tests.analysis.planned import make_plan, tables_of
from trainables.config import parse

FILES = {
    "areas.csv",
    "areas.md",
    "areas.tex",
    "curves.csv",
    "curves.pdf",
    "curves.png",
    "curves.tex",
    "evaluations.json",
}


def call(study: Any, out: Path, *options: str, draws: Sequence[str] = ("--draws", "1")) -> int:
    return study.call(occlusion, "--out", str(out), "--images", "2", *draws, *options)


@pytest.mark.slow
def test_curves_areas_and_figure_of_every_run(trained, out, capsys):
    assert call(trained, out, "--draws", "2") == 0
    assert {file.name for file in out.iterdir()} == FILES
    curves = pd.read_csv(out / "curves.csv")
    assert len(curves) == 2 * 2 * 11
    assert curves["accuracy"].between(0, 100).all()
    # Everything masked is one image, and so one class whatever the draw.
    assert (curves.loc[curves["masked"] == 100, "spread"] == 0).all()
    first = curves[(curves["arm"] == "baseline") & (curves["seed"] == 0)]["accuracy"].tolist()
    second = curves[(curves["arm"] == "baseline") & (curves["seed"] == 1)]["accuracy"].tolist()
    areas = pd.read_csv(out / "areas.csv").set_index("arm")
    by_hand = [(sum(curve) - curve[0] / 2 - curve[-1] / 2) / 10 for curve in (first, second)]
    assert areas.loc["baseline", "mean"] == pytest.approx(sum(by_hand) / 2)
    assert areas.loc["+ lam", "pairs"] == 2
    said = capsys.readouterr().out
    assert "4 x 4 pixels" in said
    assert "\nThe networks were evaluated at commit " in said  # not at that of the runs


@pytest.mark.slow
def test_the_legend_says_over_what_a_gain_is_where_it_is_not_the_baseline():
    arms = ("baseline", "+ lam", "+ l_s")
    levels = tables_of(lambda arm, seed: 20.0 + arms.index(arm) * (seed + 1), arms, 2, against={"+ l_s": "+ lam"})
    chances = {levels[0].name: [10.0]}
    curves = pd.concat([levels[0].runs.assign(masked=masked, accuracy=50.0) for masked in (0, 50)])
    figure = occlusion.plot_occlusion("tiny", curves, levels, "", strip=[(0, torch.zeros(3, 8, 8))], chances=chances)
    (legend,) = (axis.get_legend() for part in figure.subfigs[0].subfigs for axis in part.axes if axis.get_legend())
    assert [text.get_text() for text in legend.get_texts()] == [
        "baseline  20.0",
        "+ lam  21.5, +1.5 [-4.9, +7.9]",
        "+ l_s  23.0, +1.5 [-4.9, +7.9]\nover + lam",
    ]


@pytest.mark.slow
def test_second_call_evaluates_nothing_and_another_protocol_everything(trained, painted, out, monkeypatch):
    assert call(trained, out) == 0
    before = (out / "curves.csv").read_text()
    calls = []
    real = occlusion.measure
    monkeypatch.setattr(occlusion, "measure", lambda *arguments: calls.append(1) or real(*arguments))
    assert call(trained, out) == 0
    assert not calls
    assert (out / "curves.csv").read_text() == before
    assert call(trained, out, "--fill", "black") == 0
    assert len(calls) == 4
    assert call(trained, out, "--order", "salient", draws=()) == 0
    kept = json.loads((out / "evaluations.json").read_text())
    assert [len(found["accuracy"]) for found in kept.values()] == [1] * 12  # one draw of an order by saliency


@pytest.mark.slow
def test_the_side_of_a_patch_may_be_given_in_pixels_or_by_the_grid(trained, out, capsys):
    assert call(trained, out, "--patch-size", "8") == 0
    assert "8 x 8 pixels" in capsys.readouterr().out
    by_pixels = (out / "curves.csv").read_text()
    assert call(trained, out, "--grid", "4") == 0
    assert (out / "curves.csv").read_text() == by_pixels
    assert call(trained, out, "--grid", "20") == 2  # it was 16 without a word
    assert "--grid 20 cannot be made of 32 pixels: patches of 2 are 16 in a row" in capsys.readouterr().err


@pytest.mark.slow
def test_what_a_network_does_wrong_is_a_sentence_and_the_rest_goes_on(trained, out, capsys, monkeypatch):
    left, real = [RuntimeError("CUDA error: out of memory\nsecond line")], occlusion.measure

    def measure(*arguments: Any) -> Any:
        if left:
            raise left.pop()
        return real(*arguments)

    monkeypatch.setattr(occlusion, "measure", measure)
    assert call(trained, out) == 1
    error = capsys.readouterr().err
    assert [line for line in error.splitlines() if line.startswith("evaluated")] == [
        f"evaluated {number} of 4 networks" for number in (1, 2, 3)
    ]  # a log shows how far it is; a terminal has a bar
    assert "not evaluated: cutmix, 'baseline', seed 0" in error
    assert error.strip().endswith("RuntimeError: CUDA error: out of memory")
    assert len(json.loads((out / "evaluations.json").read_text())) == 3
    said = (out / "curves.tex").read_text().replace("~", " ")
    assert "Dotted: a guess. The arms differ in n; a gain uses only the seeds that both arms have." in said


@pytest.mark.slow
def test_of_many_networks_that_were_not_evaluated_ten_are_named(track, out, capsys):
    study = track()
    study.add_all(make_plan(arms=("baseline",), seeds=13), lambda trial: 40.0)
    assert call(study, out) == 1
    *named, rest = capsys.readouterr().err.splitlines()
    assert [line.partition(" (run ")[0] for line in named] == [
        f"occlusion.py: not evaluated: cutmix, 'baseline', seed {seed}" for seed in range(10)
    ]
    assert rest == "occlusion.py: not evaluated: 3 more networks"


@pytest.mark.parametrize(
    ("nth", "end", "files"),
    [
        (1, "the same command starts again", []),
        (3, "evaluated 2 of 4 networks, kept in {}; the same command goes on", ["evaluations.json"]),
    ],
)
def test_sigterm_keeps_what_is_done_and_no_more(trained, out, tmp_path, capsys, monkeypatch, nth, end, files):
    calls, real = [], occlusion.measure

    def measure(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == nth:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*arguments)

    monkeypatch.setattr(occlusion, "measure", measure)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    before = signal.getsignal(signal.SIGTERM)
    assert call(trained, out) == 130
    assert signal.getsignal(signal.SIGTERM) is before
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == f"occlusion.py: interrupted; {end.format(out / 'evaluations.json')}"
    assert [file.name for file in out.glob("*")] == files
    assert not list((tmp_path / "scratch").iterdir())


@pytest.mark.slow
def test_bad_checkpoints_are_named_and_the_rest_goes_on(own_trained, out, tmp_path, capsys):
    study, run_ids, damaged = own_trained, own_trained.run_ids, tmp_path / "model.pt"
    damaged.write_bytes(b"not a checkpoint")
    study.client.log_artifact(run_ids["baseline", 1], str(damaged))
    torch.save({"weight": torch.zeros(2)}, damaged)
    study.client.log_artifact(run_ids["+ lam", 0], str(damaged))
    artifacts = study.client.get_run(run_ids["+ lam", 1]).info.artifact_uri
    Path(artifacts.removeprefix("file://"), "model.pt").unlink()
    assert call(study, out) == 1
    errors = capsys.readouterr().err
    assert f"'baseline', seed 1 (run {run_ids['baseline', 1]}): its model.pt is damaged" in errors
    assert f"'+ lam', seed 0 (run {run_ids['+ lam', 0]}): its model.pt is of another network than 'resnet8'" in errors
    assert f"'+ lam', seed 1 (run {run_ids['+ lam', 1]}): MLflow has no model.pt of it" in errors
    assert set(pd.read_csv(out / "curves.csv")["arm"]) == {"baseline"}
    for run_id in run_ids.values():
        study.client.set_terminated(run_id, "FAILED")
    assert call(study, out) == 2
    assert "no run that is done" in capsys.readouterr().err


def test_images_are_evenly_spaced_and_what_the_network_was_trained_on(trained):
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "test_images": 3})
    images, labels = all_of(open_images(config, 4, Path("data")), config)
    assert images.shape == (4, 3, 32, 32)
    assert images.max() <= 1
    assert labels.tolist() == [0 % 10, 13 % 10, 26 % 10, 39 % 10]
