"""The robustness table, from checkpoints in a real MLflow store."""

import json
import math
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torchvision import models

from analysis import robustness
from analysis.networks import evaluate, transfer
from analysis.networks import robustness_measures as measures
from analysis.networks.evaluate import all_of, open_images
from analysis.networks.transfer import find_substitutes
from tests.analysis.planned import tables_of
from trainables.augment.resized_crop import resize
from trainables.backbones import pretrained
from trainables.config import parse
from trainables.datasets.cifar_c import CORRUPTIONS, EXTRA_CORRUPTIONS
from trainables.methods import build_network
from trainables.robustness.adversarial import fgsm, pgd
from trainables.robustness.classifier import predict, top1
from trainables.robustness.corruption import CORRUPT, corrupt

IMAGES = 2
PLAIN = {"pgd": False, "release": False, "corruptions": False, "official": {}}
TWO = {name: CORRUPT[name] for name in ("contrast", "gaussian_noise")}


@pytest.fixture(autouse=True)
def short_attacks(monkeypatch) -> None:
    monkeypatch.setattr(measures, "pgd", partial(pgd, iterations=2))


@pytest.fixture
def asked(out) -> tuple[str, ...]:
    return "--out", str(out), "--images", str(IMAGES)


@pytest.mark.slow
def test_table_holds_every_measure_with_gains_paired_by_seed(own_trained, asked, tmp_path, out, monkeypatch, capsys):
    monkeypatch.setattr(measures, "CORRUPT", TWO)
    config = {"dataset": "cifar10", "backbone": "resnet20", "epochs": 1, "mixer": "none"}
    trial = {**own_trained.plan["trials"][0], "key": "another"}
    other_network = own_trained.add_run(trial, 40.0, epochs=1, config=config)
    network = build_network(parse(config))
    torch.save(network.backbone.state_dict(), tmp_path / "model.pt")
    own_trained.client.log_artifact(other_network, str(tmp_path / "model.pt"))
    substitutes = f"baseline:0,baseline:1,{other_network}"
    all_measures = ("--pgd", "--fgsm-release", "--substitutes", substitutes, "--data-root", str(tmp_path))
    assert own_trained.call(robustness, *asked, *all_measures) == 0
    shown = capsys.readouterr().out
    assert shown.split()[:3] == ["cell", "n", "Clean"]
    assert "CIFAR-C-style" in shown
    text = (out / "table.tex").read_text()
    assert text.count(r"\begin{table*}") == 1 + len(robustness.MEASURES)  # the first has all measures
    assert len(set(re.findall(r"\\label{(.*?)}", text))) == 1 + len(robustness.MEASURES)
    table = pd.read_csv(out / "table.csv")
    assert list(dict.fromkeys(table["metric"])) == list(robustness.MEASURES)
    assert table["mean"].between(0, 100).all()
    assert (table.loc[table["arm"] == "+ lam", "pairs"] == 2).all()
    corrupted = pd.read_csv(out / "corruptions.csv")
    assert len(corrupted) == 2 * 2 * len(TWO) * 5
    by_hand = corrupted.groupby("arm")["test_top1"].mean()
    means = table[table["metric"] == "test_top1_corrupted"].set_index("arm")["mean"]
    assert means["baseline"] == pytest.approx(by_hand["baseline"])
    assert means["+ lam"] == pytest.approx(by_hand["+ lam"])


def test_the_gain_of_an_arm_with_a_reference_of_its_own_is_not_called_one_over_the_baseline():
    levels = tables_of(lambda *_: 70.0, seeds=1, against={"+ l_s": "+ lam"})
    said = robustness.protocol_text("10 test images", {"run": {}}, {"test_top1_clean": levels})
    assert said[0].endswith("In brackets: difference from the baseline (+ l_s from + lam), paired by seed.")
    shown = robustness.summary({"test_top1_clean": levels})
    assert shown["cell"].tolist() == ["cutmix · baseline", "cutmix · + lam", "cutmix · + l_s"]


def test_a_measure_that_lacks_a_seed_says_how_many_it_has():
    clean = tables_of(lambda *_: 70.0, seeds=2)
    grey = tables_of(lambda arm, seed: math.nan if (arm, seed) == ("baseline", 0) else 70.0, seeds=2)
    shown = robustness.summary({"test_top1_clean": clean, "fgsm_grey_error": grey})
    assert shown["n"].tolist()[:2] == [2, 2]
    assert shown["FGSM, grey box"].tolist()[:2] == ["70.00, n = 1", "70.00 (+0.00)"]


@pytest.mark.slow
def test_a_network_is_no_substitute_for_itself_and_the_mean_is_over_the_others(trained, asked, out):
    other = trained.run_ids["baseline", 1]
    assert trained.call(robustness, *asked, "--no-corruptions", "--substitutes", f"baseline:0,{other}") == 0
    table = pd.read_csv(out / "table.csv").set_index(["metric", "arm"])["mean"]
    points = pd.read_csv(out / "transfers.csv")
    assert len(points) == 2 * (1 + 1 + 2 + 2)
    assert set(points["box"]) == {"grey"}
    by_network = points[points["attack"] == "pgd"].groupby(["arm", "seed"])["error"].mean()
    assert table["pgd_grey_error", "+ lam"] == pytest.approx(by_network["+ lam"].mean())
    assert table["pgd_grey_error", "baseline"] == pytest.approx(by_network["baseline"].mean())
    own = points[(points["arm"] == "baseline") & (points["seed"] == 0)]
    assert set(own["substitute"]) == {other}
    assert robustness.UNLIKE in (out / "table.md").read_text()
    assert trained.call(robustness, *asked, "--no-corruptions", "--substitutes", other) == 0
    assert robustness.UNLIKE not in (out / "table.md").read_text()  # that network itself has no value


def test_an_attack_is_that_on_the_network_or_on_the_substitute_and_begins_alike_for_all(trained, tmp_path, monkeypatch):
    """Any other network is shown the images that fool the substitute by its own error."""
    seeds: list[int] = []

    def started(*given, rng=None):
        seeds.append(rng and rng.initial_seed())
        return pgd(*given, rng or torch.Generator().manual_seed(measures.SEED), iterations=2)

    monkeypatch.setattr(measures, "pgd", started)
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "epochs": 1, "mixer": "cutmix"})
    victim, other = (build_network(config, seed=seed).eval() for seed in (10, 0))
    source = open_images(config, 10, tmp_path)
    images, labels = all_of(source, config)
    (substitute,) = find_substitutes([trained.run_ids["baseline", 0]], trained.uri, pd.DataFrame({"arm": []}), tmp_path)
    result = measures.measure(victim, source, config, {**PLAIN, "pgd": True}, [substitute])
    assert seeds == [measures.SEED] * 2
    for attack, shown_by in (("fgsm", fgsm), ("pgd", started)):
        for name, attacked in ((f"{attack}_error", victim), (f"{attack}_grey_error", other)):
            shown = shown_by(attacked, images, labels)
            assert result[name] == pytest.approx(100 - top1(predict(victim, shown), labels)), name
    assert "pgd_black_error" not in result


def test_every_batch_is_corrupted_by_random_numbers_of_its_own(noise, tmp_path, monkeypatch):
    drawn: list[tuple[str, int, int]] = []
    monkeypatch.setattr(evaluate, "MOST_IMAGES", 2)
    monkeypatch.setattr(measures, "CORRUPT", ("fog",))
    monkeypatch.setattr(measures, "corrupt", lambda images, *how: drawn.append(how) or images)
    config = parse({"dataset": "cifar10", "backbone": "resnet8"})
    source, corrupted = open_images(config, 4, tmp_path), {**PLAIN, "corruptions": True}
    measures.measure(build_network(config).eval(), source, config, corrupted)
    assert drawn == [("fog", severity, seed) for seed in (0, 1) for severity in range(1, 6)]


@pytest.mark.parametrize("official", [False, True])
def test_images_are_corrupted_before_they_are_resized(official, noise, tmp_path, monkeypatch):
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(measures, "CORRUPT", ("contrast",))
    monkeypatch.setattr(measures, "predict", lambda _, images: seen.append(images) or torch.zeros(len(images), 10))
    config = parse({"dataset": "cifar10", "backbone": "resnet8", "image_size": 48})
    images, labels = own = evaluate.take_images(config, 3, tmp_path)
    made = [corrupt(images, "contrast", severity) for severity in range(1, 6)]
    theirs = SimpleNamespace(load=lambda *_: measures.Split(torch.cat(made), labels.repeat(5)))
    monkeypatch.setitem(measures.EVALUATION_SETS.data, "cifar10_c", theirs)
    asked = {**PLAIN, "corruptions": True, "official": {"cifar10_c": "data"} if official else {}}
    result = measures.measure(build_network(config).eval(), evaluate.as_tested(own, config), config, asked)
    assert (result["source"] == "cifar10_c") == official
    right = pytest.approx(100 * float((labels == 0).double().mean()))  # all are taken for class 0
    assert (result["corruptions"], result["test_top1_corrupted"]) == ({"contrast": [right] * 5}, right)
    assert torch.equal(torch.stack(seen[1:]), torch.stack([resize(each, (48, 48)) / 255 for each in made]))


@pytest.mark.slow
@torch.no_grad()
def test_a_network_of_torchvision_keeps_its_classifier(tmp_path, monkeypatch):
    theirs = models.resnet18().eval()
    monkeypatch.setattr(pretrained, "load_pretrained", lambda *_: theirs.state_dict())
    monkeypatch.setattr(transfer, "load_pretrained", lambda *_: theirs.state_dict())
    config = parse({"dataset": "imagenet", "backbone": "resnet50_imagenet", "image_size": 160, "test_size": 224})
    substitute = transfer.of_torchvision("torchvision/resnet18_imagenet", tmp_path)
    assert substitute.box(config) == "black"
    network = substitute.network(config)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network(images), theirs(network.normalise(images)), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="is tested on imagenet at 224 pixels, the study on imagenet at 160 pixels"):
        substitute.network(replace(config, test_size=None))


@pytest.mark.slow
def test_without_corruptions_the_bins_hold_every_image(trained, asked, out, capsys):
    out.mkdir()
    (out / "corruptions.csv").write_text("of an earlier call")
    assert trained.call(robustness, *asked, "--no-corruptions") == 0
    assert "Corruption" not in capsys.readouterr().out
    assert set(pd.read_csv(out / "table.csv")["metric"]) == {
        *("test_top1_clean", "fgsm_error", "ece", "ece_10_bins", "adaptive_ece")
    }
    assert (out / "corruptions.csv").read_text() == "of an earlier call"
    kept = json.loads((out / "evaluations.json").read_text())
    bins = pd.read_csv(out / "reliability.csv")
    assert (bins.groupby(["arm", "seed"])["predictions"].sum() == IMAGES).all()
    ece = {tuple(key): 0.0 for key in bins[["arm", "seed"]].drop_duplicates().to_numpy()}
    for row in bins.to_dict("records"):
        ece[row["arm"], row["seed"]] += row["predictions"] / IMAGES * abs(row["accuracy"] - row["confidence"])
    assert sorted(ece.values()) == pytest.approx(sorted(found["ece"] for found in kept.values()))
    assert all((out / f"reliability.{ending}").exists() for ending in ("png", "pdf", "tex"))


def test_the_calibration_error_has_fifteen_bins_and_ten():
    """Confidences of 0.62, 0.68 and 0.69, of which the last is wrong, lie in one of ten bins and in two of fifteen."""
    p = torch.tensor([0.62, 0.68, 0.69])
    found = measures._of_predictions(torch.stack((p, 1 - p), 1).log(), torch.tensor([0, 0, 1]))
    assert found["ece"] == pytest.approx(100 * (0.38 + 0.37) / 3)
    assert found["ece_10_bins"] == pytest.approx(100 * (2 - 0.62 - 0.68 - 0.69) / 3, rel=1e-3)
    assert found["adaptive_ece"] == pytest.approx(100 * (0.38 + 0.32 + 0.69) / 3)  # each has a bin of its own


def test_official_images_are_those_of_the_clean_ones(monkeypatch):
    rows = np.arange(50_000)
    pixels = torch.from_numpy(rows // 10_000).to(torch.uint8)[:, None, None, None].expand(-1, 3, 32, 32)
    split = measures.Split(pixels, torch.from_numpy(rows % 10_000))

    class Official:
        @staticmethod
        def load(root: Path, part: str) -> measures.Split:
            assert (root, part) == (Path("data"), "fog")
            return split

    monkeypatch.setitem(measures.EVALUATION_SETS.data, "cifar10_c", Official)
    shown = list(measures.official_images("cifar10_c", Path("data"), 4, "fog"))
    assert [int(images.unique()) for images, _ in shown] == [0, 1, 2, 3, 4]
    assert all(labels.tolist() == [0, 3333, 6666, 9999] for _, labels in shown)


def test_all_corruptions_are_measured_by_default():
    assert set(measures.CORRUPT) == set(CORRUPTIONS + EXTRA_CORRUPTIONS)
