"""Whatever is wrong in a search is refused in one sentence before anything starts."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from mixlab import Choice, Float, Int, main
from mixlab.errors import BadInput
from mixlab.spec.complete import complete
from mixlab.spec.space import check_space
from tests.endings import ended
from tests.mixlab.spec.test_search import SEARCH, TRAIN, Toy


def of(**space: Any) -> dict[str, Any]:
    return {"space": space}


def when(**wanted: Any) -> dict[str, Any]:
    """Return a space in which zeta has a condition on other keys."""
    zeta = Float(0, 1, when=wanted)
    return of(term=Choice("a", "b"), alpha=Float(0.1, 0.5, step=0.2), layers=Int(1, 9, step=3), zeta=zeta)


def test_nothing_is_said_of_held_out_data_where_none_is_held_out():
    class HoldsNothingOut(Toy):
        held_out: ClassVar[Mapping[str, Any]] = {}

    train = complete(HoldsNothingOut())
    sentence = "^the objective 'test_top1' is not for a search to optimise: use 'val_top1' or 'val_loss'$"
    with pytest.raises(BadInput, match=sentence):
        replace(SEARCH, objective="test_top1").check(train)
    assert not SEARCH.holds_out(train)


@pytest.mark.parametrize(
    ("changes", "options", "parts"),
    [
        (of(), "", ["empty", "at least one key"]),
        (of(zeta=Float(0.5, 0.5)), "", ["zeta", "empty", "0.5"]),
        (of(zeta=Float(2, 0.05)), "", ["zeta", "inverted", "2", "0.05"]),
        (of(zeta=Float(0, 2, log=True)), "", ["zeta", "log", "above 0", "reach 0"]),
        (of(zeta=Float(0, float("inf"))), "", ["zeta must be of numbers within -1e+300 and 1e+300, got inf"]),
        (of(zeta=Float(float("nan"), 1)), "", ["zeta", "nan", "numbers within"]),
        (of(zeta=Float("0", 1)), "", ["zeta", "'0'", "number"]),
        (of(zeta=Float(1, 2, step=3)), "", ["the step of zeta must be above 0 and at most 1, got 3"]),
        (of(zeta=Float(0, 1, step=0)), "", ["the step of zeta must be above 0 and at most 1, got 0"]),
        (of(layers=Int(1, 3, step=True)), "", ["layers", "whole", "True"]),
        (of(zeta=Float(1, 8, step=1, log=True)), "", ["zeta", "log scale and the step 1"]),
        (of(zeta=Float(0.1, 1, log="no")), "", ["log", "zeta", "'no'", "True or False"]),
        (of(layers=Int(1, 8, step=2, log=True)), "", ["layers", "log scale and the step 2"]),
        (of(layers=Int(1.5, 3)), "", ["layers", "whole", "1.5"]),
        (of(mixer=Choice("a")), "", ["mixer", "at least 2", "'a'"]),
        (of(term=Choice(0, "a", 1, True)), "", ["term", "has the value True twice"]),
        (of(term=Choice("a", ("b",))), "", ["term", "('b',)"]),
        (of(zeta=(0, 1)), "", ["zeta", "(0, 1)", "Float"]),
        (of(zeat=Float(0, 1)), "", ["unknown key 'zeat'"]),
        (of(alpha=Float(1, 40)), "", ["alpha", "at most 10", "40"]),
        (when(mixer="cutmix"), "", ["zeta", "mixer", "tuple", "'cutmix'"]),
        (when(mixer=()), "", ["zeta", "mixer", "tuple", "got ()"]),
        (when(mixxer=("cutmix",)), "", ["zeta", "'mixxer'", "'mixer'"]),
        (when(xyz=(1,)), "", ["'xyz'; there are 'term', 'alpha', 'layers', 'zeta', 'epochs', 'evaluate'"]),
        (when(term=("c",)), "", ["zeta", "term", "['c']", "'a'"]),
        (when(term=(["a"],)), "", ["zeta", "term", "[['a']]", "'a'"]),
        (when(layers=(3, 10, "4")), "", ["[3, 10, '4']", "from 1 to 9, steps of 3 never is"]),
        (when(alpha=(0.4, float("nan"))), "", ["[0.4, nan]", "from 0.1 to 0.5, steps of 0.2 never is"]),
        (of(alpha=Float(0.1, 1), zeta=Float(0, 1, when={"alpha": (0.5,)})), "", ["[0.5]", "from 0.1 to 1 never"]),
        (of(zeta=Float(0, 1, when={"term": (1,)}), term=Choice(1, 2, when={"zeta": (1,)})), "", ["zeta, term look"]),
        (of(zeta=Choice(0, 1, when="mixer")), "", ["zeta", "'mixer'", "a mapping"]),
        (of(zeta=Float(0, 1, when=["mixer"])), "", ["zeta", "['mixer']", "a mapping"]),
        (of(term=Choice(0.1, "0.1")), "", ["term", "'0.1'", "twice"]),
        (of(layers=Int(-(2**53) - 1, 1)), "", ["layers", "within -9007199254740992 and 9007199254740992"]),
        ({"space": {5: Float(0, 1)}}, "", ["5", "text"]),
        (of(**{"ze%ta": Float(0, 1)}), "", ["'ze%ta'", "MLflow"]),
        ({"space": ["zeta"]}, "", ["['zeta']", "mapping"]),
        ({"budgets": [4]}, "", ["[4]", "budgets of a search", "a mapping"]),
        ({"budgets": {"smoke": "4"}}, "", ["'smoke'", "'4'", "whole number"]),
        ({"budgets": {"smoek": 4}}, "", ["'smoek'", "budgets", "did you mean 'smoke'"]),
        ({"objective": ("val_top1", "val_loss")}, "", ["objective of a search", "('val_top1'", "text"]),
        ({"objective": "val_topp1"}, "", ["objective 'val_topp1'; did you mean 'val_top1'?"]),
        ({"objective": " "}, "", ["unknown objective ' '"]),
        ({"study": 5}, "", ["a Study", "5"]),
        *((of(**{key: Float(1, 4)}), "", [key, "space", "'cutmix · plain'"]) for key in ("lr", "mixer")),
        ({"objective": "test_top1"}, "", ["'test_top1'", "held-out data", "'val_top1'"]),
        ({"tuning": {"validation": 0.1, "evaluate": "test"}}, "", ["'test'", "'validation'"]),
        ({"search_seeds": ()}, "", ["at least 1 seed"]),
        ({"search_seeds": 7}, "--until decided", ["7", "whole numbers", "range(6)"]),
        ({"direction": "up"}, "", ["'up'", "maximize"]),
        ({}, "--trials 3", ["3", "below the number of arms, 4"]),
        ({"budget": True}, "", ["budget of a search", "True", "whole number"]),
        ({"concurrent": 1.5}, "", ["1.5", "whole number"]),
        ({"search_seeds": (9, 5, 3, 8)}, "", ["seed 3", "fresh"]),
        ({}, "--trials -3", ["-3", "at least 1"]),
        ({}, "--trials 10", ["10", "equally", "8 or 12"]),
        ({}, "--trials 20240608", ["20240608 trials", "at most 100000"]),
        (of(zeta=Int(1, 999), layers=Int(1, 999)), "--sampler grid", ["grid", "998001 trials", "at most 100000"]),
        ({}, "--sampler tpee", ["'tpee'", "'tpe'"]),
        ({}, "--sampler grid", ["grid", "zeta", "continuous", "log scale): make it a Choice"]),
        (of(zeta=Float(0, 1)), "--sampler grid", ["grid", "zeta", "0 to 1): give it a step, make it a Choice"]),
        ({}, "--scheduler ahsa", ["'ahsa'", "'asha'"]),
        ({}, "--concurrent 0", ["0", "at least 1"]),
        ({}, "--set zeta=1", ["zeta=1", "varies"]),
        (of(epochs=Int(1, 3)), "--epochs 2", ["--epochs 2", "varies"]),
        ({}, "--set evaluate=test", ["'test'", "held-out data"]),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(changes, options, parts, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ended(2):
        main(replace(SEARCH, **changes), Toy(), options.split())
    sentence = capsys.readouterr().err.strip()
    assert sentence.startswith("error: ")
    assert "\n" not in sentence
    for part in parts:
        assert part in sentence
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_numpy_are_numbers_of_a_space():
    assert Float(np.float32(0.5), np.int64(2)) == Float(0.5, 2)
    assert Choice(np.float64(0.1), np.bool_(True)).values == (0.1, True)
    check_space({"zeta": Int(np.int64(1), np.int32(3)), "term": Choice(np.float32(0.5), 1)})
    tuning = {**SEARCH.tuning, "epochs": np.int64(3)}
    assert replace(SEARCH, tuning=tuning).identity == SEARCH.identity
    replace(SEARCH, tuning=tuning).check(TRAIN)


@pytest.mark.parametrize(
    "space",
    [
        {"zeta": Float(-1, 1, step=2)},
        {"zeta": Float(0.1, 0.3, step=0.2)},
        {"layers": Int(1, 8, log=True)},
        {"layers": Int(-(2**53), 2**53)},
        {"term": Choice("1", 2, None, 0.5, False)},
        {"alpha": Float(-0.3, 0.3, step=0.1), "zeta": Float(0, 1, when={"alpha": (0,)})},
        *(when(layers=wanted)["space"] for wanted in ((1,), (7, "x"))),
        *(when(alpha=(wanted,), term=("b", "x"))["space"] for wanted in (0.3, 0.5)),
    ],
)
def test_what_lies_within_every_limit_is_a_space(space):
    replace(SEARCH, space=space, budget=4, search_seeds=range(1000, 1002)).check(TRAIN)


def test_a_trainable_whose_objectives_are_no_list_is_a_sentence():
    train = Toy()
    for found in ("val_top1", []):
        train.objectives = lambda config, found=found: found
        with pytest.raises(BadInput, match="objectives of a trainable must"):
            replace(SEARCH, objective="").completed(complete(train))
