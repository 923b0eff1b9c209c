"""The robustness table, from checkpoints in a real MLflow store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from analysis import robustness
from analysis.networks import robustness_measures as measures
from trainables.datasets.cifar_c import CORRUPTIONS, EXTRA_CORRUPTIONS
from trainables.robustness.corruption import CORRUPT

TWO = {name: CORRUPT[name] for name in ("contrast", "gaussian_noise")}


def call(study: Any, out: Path, *options: str) -> int:
    return robustness.main([study.study, "--tracking-uri", study.uri, "--out", str(out), "--images", "10", *options])


def test_table_holds_every_measure_with_gains_paired_by_seed(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _, run_ids = trained
    monkeypatch.setattr(measures, "CORRUPT", TWO)
    all_measures = ("--pgd", "--fgsm-release", "--transfer-from", run_ids["baseline", 1])
    assert call(study, tmp_path / "out", *all_measures, "--data-root", str(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "| mixer   | arm      | n   | Clean" in shown
    assert "CIFAR-C-style" in shown
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert list(dict.fromkeys(table["metric"])) == list(robustness.MEASURES)
    assert table["mean"].between(0, 100).all()
    assert (table.loc[table["arm"] == "+ lam", "pairs"] == 2).all()
    corrupted = pd.read_csv(tmp_path / "out" / "corruptions.csv")
    assert len(corrupted) == 2 * 2 * len(TWO) * 5
    by_hand = corrupted.groupby("arm")["test_top1"].mean()
    means = table[table["metric"] == "test_top1_corrupted"].set_index("arm")["mean"]
    assert means["baseline"] == pytest.approx(by_hand["baseline"])
    assert means["+ lam"] == pytest.approx(by_hand["+ lam"])


def test_an_attack_from_the_network_itself_is_the_white_box_and_the_bins_hold_every_image(
    trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study, _, run_ids = trained
    options = ("--no-corruptions", "--transfer-from", run_ids["baseline", 0])
    assert call(study, tmp_path / "out", *options) == 0
    kept = json.loads((tmp_path / "out" / "evaluations.json").read_text())
    assert any(found["transfer_error"] == found["fgsm_error"] for found in kept.values())
    bins = pd.read_csv(tmp_path / "out" / "reliability.csv")
    assert (bins.groupby(["arm", "seed"])["predictions"].sum() == 10).all()
    ece = {tuple(key): 0.0 for key in bins[["arm", "seed"]].drop_duplicates().to_numpy()}
    for row in bins.to_dict("records"):
        ece[row["arm"], row["seed"]] += row["predictions"] / 10 * abs(row["accuracy"] - row["confidence"])
    assert sorted(ece.values()) == pytest.approx(sorted(found["ece"] for found in kept.values()))
    for ending in ("png", "pdf"):
        assert (tmp_path / "out" / f"reliability.{ending}").stat().st_size > 5000
    capsys.readouterr()
    assert call(study, tmp_path / "out", "--transfer-from", "0" * 32) == 2
    assert f"--transfer-from {'0' * 32!r}: MLflow has no config.json of it" in capsys.readouterr().err


def test_corruptions_can_be_left_out(trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, _, _ = trained
    assert call(study, tmp_path / "out", "--no-corruptions") == 0
    assert "Corruption" not in capsys.readouterr().out
    assert set(pd.read_csv(tmp_path / "out" / "table.csv")["metric"]) == {
        *("test_top1_clean", "fgsm_error", "ece", "adaptive_ece")
    }
    assert pd.read_csv(tmp_path / "out" / "corruptions.csv").empty


def test_official_images_are_those_of_the_clean_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(50_000)
    pixels = torch.from_numpy(rows // 10_000).to(torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)
    split = measures.Split(pixels, torch.from_numpy(rows % 10_000))

    class Official:
        @staticmethod
        def load(root: Path, part: str) -> measures.Split:
            assert (root, part) == (Path("data"), "fog")
            return split

    monkeypatch.setitem(measures.EVALUATION_SETS, "cifar10_c", Official)  # type: ignore[arg-type]
    shown = list(measures.official_images("cifar10_c", Path("data"), 4, "fog"))
    assert [int(images.unique()) for images, _ in shown] == [0, 1, 2, 3, 4]
    assert all(labels.tolist() == [0, 3333, 6666, 9999] for _, labels in shown)


def test_all_corruptions_are_measured_by_default() -> None:
    assert set(measures.CORRUPT) == set(CORRUPTIONS + EXTRA_CORRUPTIONS)


def test_unknown_study_is_one_sentence(trained: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, _, _ = trained
    assert robustness.main(["ablation_tin", "--tracking-uri", study.uri, "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == (
        "robustness.py: there is no study 'ablation_tin'; the nearest is 'ablation_tiny'\n"
    )
    assert not (tmp_path / "out").exists()
