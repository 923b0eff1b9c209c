"""The learned lambda of single pairs is Eq. 4 by hand, and the command on checkpoints in a real store."""

import itertools
from functools import partial
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Generator

from analysis import learned_lambda
from tests.analysis.planned import make_plan
from trainables.config import parse
from trainables.methods import build_network
from trainables.mixers import MIXERS

CONFIG = {"dataset": "cifar10", "backbone": "resnet8", "mixer": "cutmix", "sumix.lam": "learned", "batch_size": 24}


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch) -> None:
    """Draw as many mixtures as a strip of each pair needs, and some more."""
    monkeypatch.setattr(learned_lambda, "DRAWS", 30)


def network() -> Any:
    config = parse(CONFIG)
    return build_network(config, seed=3).eval()


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
def call(track, tmp_path, out) -> Any:
    """Return a function that calls the command on a study of which one arm learns lambda."""
    study, lam = track(), {"baseline": "fixed", "SUMix": "learned"}
    plan = make_plan(arms=("baseline", "SUMix"), seeds=1)
    study.add_all(plan, lambda _: 40.0, lambda trial: {**CONFIG, "sumix.lam": lam[trial["arm"]]}, epochs=1)
    torch.save(network().backbone.state_dict(), tmp_path / "model.pt")
    study.add_file(tmp_path / "model.pt")
    return partial(study.call, learned_lambda, "--out", str(out))


def test_bad_input_is_one_sentence(call, capsys):
    for options, sentence in (
        (["--pick", "3,17,8"], "pairs need an even number of images, from 2, got 3"),
        (["--lam", "1"], "--lam must be between 0 and 1, got 1.0"),
    ):
        assert call(*options) == 2
        assert capsys.readouterr().err == f"learned_lambda.py: {sentence}\n"


@pytest.mark.slow
def test_the_command_draws_the_arms_that_learn_lambda(noise, painted, call, out):
    assert call("--pick", "3,17") == 0
    names = {f"strip.{ending}" for ending in ("png", "pdf", "tex", "csv")}
    assert {file.name for file in out.iterdir()} == names | {"evaluations.json"}
    table = pd.read_csv(out / "strip.csv")
    assert set(table["arm"]) == {"SUMix"}
    assert len(table) == learned_lambda.SHOWN


@pytest.mark.slow
def test_the_caption_says_why_a_pair_has_no_mixtures(noise, painted, call, monkeypatch):
    captions: list[str] = []
    draw, strip_of, pairs = learned_lambda.plot_strips, learned_lambda.strip_of, itertools.count()
    monkeypatch.setattr(learned_lambda, "plot_strips", lambda *given: captions.append(given[3]) or draw(*given))
    assert call("--pick", "3,17") == 0
    monkeypatch.setattr(learned_lambda, "strip_of", lambda *of, **lam: strip_of(*of, **lam) if next(pairs) else [])
    assert call("--pick", "3,17,8,5") == 0
    sentence = "Where a pair has no mixtures, none came within 0.02 of that lambda."
    assert [sentence in caption for caption in captions] == [False, True]


@pytest.mark.slow
def test_a_lambda_that_no_mixture_has_is_one_sentence(noise, call, capsys):
    assert call("--lam", "0.0001", "--pick", "3,17") == 2
    sentence = "learned_lambda.py: no mixture has a lambda within 0.02 of --lam 0.0001: give another lambda"
    assert capsys.readouterr().err.splitlines() == ["evaluated 1 of 1 network", sentence]
