"""In a study of two data sets, nothing that is true of one is said or shown of the other."""

from typing import Any

import pandas as pd
import pytest
import torch

from analysis import cam, learned_lambda, occlusion
from tests.analysis.planned import make_plan
from trainables.config import parse
from trainables.methods import build_network

pytestmark = pytest.mark.slow
RUN = {"backbone": "resnet8", "mixer": "cutmix", "sumix.lam": "learned", "batch_size": 24}


@pytest.fixture(scope="module")
def study(track_in, tmp_path_factory) -> Any:
    """Return a study of networks for images of 32 and of 64 pixels, of 10 and of 200 classes."""
    folder = tmp_path_factory.mktemp("two")
    made = track_in(folder)
    plan = make_plan(arms=("SUMix",), seeds=1, factors={"dataset": ("cifar10", "tiny_imagenet")})
    made.add_plan(plan)
    for trial in plan["trials"]:
        run = made.add_run(trial, 40.0, config=RUN, epochs=1)
        network = build_network(parse({**RUN, **trial["levels"], "epochs": 1}))
        torch.save(network.backbone.state_dict(), folder / "model.pt")
        made.client.log_artifact(run, str(folder / "model.pt"))
    return made


def test_patches_and_guesses_are_those_of_each(study, noise, out, capsys, monkeypatch):
    shown: list[dict[str, Any]] = []
    plot = occlusion.plot_occlusion
    monkeypatch.setattr(occlusion, "plot_occlusion", lambda *given, **own: shown.append(own) or plot(*given, **own))
    assert study.call(occlusion, "--out", str(out), "--images", "50", "--draws", "1") == 0
    said = capsys.readouterr().out
    assert "4 x 4 or 8 x 8 pixels" in said
    assert "40 test images" in said
    assert shown[0]["chances"] == {"dataset = cifar10": [10.0], "dataset = tiny_imagenet": [0.5]}


def test_each_has_maps_over_its_own_images(study, noise, out, monkeypatch):
    shown, plot = [], cam.plot_cam
    monkeypatch.setattr(cam, "plot_cam", lambda *given: shown.append(given) or plot(*given))
    assert study.call(cam, "--out", str(out), "--images", "2") == 0
    assert {file.name for file in out.glob("*.png")} == {"cam_cifar10.png", "cam_tiny_imagenet.png"}
    assert [(rows[0].name, len(rows), images.shape[2]) for _, rows, _, images, _, _ in shown] == [
        ("cifar10 · SUMix", 1, 32),
        ("tiny_imagenet · SUMix", 1, 64),
    ]
    assert pd.read_csv(out / "top2.csv")["cell"].tolist() == ["cifar10 · SUMix"] * 2 + ["tiny_imagenet · SUMix"] * 2


def test_each_has_mixtures_of_its_own_pairs(study, noise, out, monkeypatch):
    monkeypatch.setattr(learned_lambda, "DRAWS", 30)
    assert study.call(learned_lambda, "--out", str(out), "--images", "2") == 0
    assert len(list(out.glob("*.png"))) == 2
    for name in ("cifar10", "tiny_imagenet"):
        assert set(pd.read_csv(out / f"strip_{name}.csv")["factor.dataset"]) == {name}
