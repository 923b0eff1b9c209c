"""The learned lambda of single pairs is Eq. 4 by hand, and the command on checkpoints in a real store."""

from typing import Any

import pandas as pd
import pytest
import torch
from torch import Generator

from analysis import learned_lambda
from trainables.config import parse
from trainables.datasets.opening import dataset_of
from trainables.methods import build_network
from trainables.mixers import MIXERS

CONFIG = {"dataset": "cifar10", "backbone": "resnet8", "mixer": "cutmix", "sumix.lam": "learned", "batch_size": 24}


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch) -> None:
    """Draw as many mixtures as a strip of each pair needs, and some more."""
    monkeypatch.setattr(learned_lambda, "DRAWS", 30)


def network() -> Any:
    config = parse(CONFIG)
    return build_network(config, dataset_of(config), seed=3).eval()


@torch.no_grad()
def test_the_learned_lambda_is_equation_4_by_hand():
    net, config = network(), parse(CONFIG)
    images, labels = torch.rand(6, 3, 32, 32, generator=Generator().manual_seed(0)), torch.arange(6)
    mixed = MIXERS["cutmix"](images, Generator().manual_seed(1), alpha=1.0)
    z, z_mixed = net(images), net(mixed.images)
    distance = [(z_mixed - z[mixed.sources[:, k]]).softmax(dim=1).norm(dim=1) for k in range(2)]
    scaled = [mixed.weights[:, k] * torch.exp(-distance[k]) for k in range(2)]
    expected = scaled[0] / (scaled[0] + scaled[1])
    found = learned_lambda.learned_weights(net, config, net.forward_features(images), labels, mixed)
    torch.testing.assert_close(found[:, 0], expected)


@pytest.mark.slow
def test_the_mixtures_of_a_pair_are_near_lambda_and_sorted_by_what_is_learned():
    pair = torch.rand(2, 3, 32, 32, generator=Generator().manual_seed(0))
    strip = learned_lambda.strip_of(network(), parse(CONFIG), pair, torch.tensor([3, 5]), 0.4)
    assert len(strip) == learned_lambda.SHOWN
    learned = [one["learned"] for one in strip]
    assert learned == sorted(learned)
    assert all(abs(one["drawn"] - 0.4) <= learned_lambda.NEAR for one in strip)


@pytest.fixture
def call(track, make_plan, tmp_path) -> Any:
    """Return a function that calls the command on a study of which one arm learns lambda."""
    other, plan = track(study="sumix"), make_plan(study="sumix", arms=("baseline", "SUMix"), seeds=1)
    other.add_plan(plan)
    for trial in plan["trials"]:
        terms = {"sumix.lam": "learned" if trial["arm"] == "SUMix" else "fixed"}
        run_id = other.add_run(trial, 40.0, epochs=1, config={**CONFIG, **terms})
        torch.save(network().backbone.state_dict(), tmp_path / "model.pt")
        other.client.log_artifact(run_id, str(tmp_path / "model.pt"))

    def called(*options: str) -> int:
        where = ["--tracking-uri", other.uri, "--out", str(tmp_path / "out")]
        return learned_lambda.main(["sumix", *where, *options])

    return called


def test_bad_input_is_one_sentence(trained, call, tmp_path, capsys):
    none = trained[0]
    assert learned_lambda.main([none.study, "--tracking-uri", none.uri, "--out", str(tmp_path)]) == 2
    assert "no run that is done and learns lambda" in capsys.readouterr().err
    for options, sentence in (
        (["--pick", "3,17,8"], "pairs need an even number of images, from 2, got 3"),
        (["--lam", "1"], "--lam must be between 0 and 1, got 1.0"),
        (["--seed", "4"], "--seed 4 has no such run that is done; done: 0"),
    ):
        assert call(*options) == 2
        assert capsys.readouterr().err == f"learned_lambda.py: {sentence}\n"


@pytest.mark.slow
def test_the_command(noise, painted, call, tmp_path):
    out = tmp_path / "out"
    assert call("--pick", "3,17") == 0
    names = {f"strip.{ending}" for ending in ("png", "pdf", "csv")}
    assert {file.name for file in out.iterdir()} == names | {"evaluations.json"}
    table = pd.read_csv(out / "strip.csv")
    assert set(table["arm"]) == {"SUMix"}
    assert len(table) == learned_lambda.SHOWN


@pytest.mark.slow
def test_a_lambda_that_no_mixture_has_is_one_sentence(noise, call, capsys):
    assert call("--lam", "0.0001", "--pick", "3,17") == 2
    sentence = "learned_lambda.py: no mixture has a lambda within 0.02 of --lam 0.0001: give another lambda\n"
    assert capsys.readouterr().err == sentence
