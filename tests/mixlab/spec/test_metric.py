"""Metrics and their rules, and the values that a report of an epoch may hold."""

import json
import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mlflow.utils.validation import _validate_metric_name

from mixlab import Epoch, Metric
from mixlab.errors import BadInput
from mixlab.spec.epoch import Refused, epoch_of, from_json, summarised
from mixlab.spec.metric import decimals, find, rule_in_words, value_by
from tests.mixlab.spec.minimal import with_attributes

TOP1 = Metric("test_top1", "%", higher_is_better=True, rules=("last", "median10", "best", "best10"))
RMSE = Metric("rmse", "kg", digits=3, higher_is_better=False, rules=("best", "median2"))


def test_rules_by_hand():
    values = [11.0, 9.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 1.0, 10.0, 4.0, 6.0]
    assert TOP1.summary(values) == {
        "test_top1_last": 6.0,
        "test_top1_median10": 5.5,  # the median of 1, 3, 4, 4, 5, 6, 6, 7, 8 and 10; their mean is 5.4
        "test_top1_best": 11.0,
        "test_top1_best10": 10.0,
    }
    assert RMSE.summary(values) == {"rmse_best": 1.0, "rmse_median2": 5.0}
    assert RMSE.summary([3.0]) == {"rmse_best": 3.0, "rmse_median2": 3.0}
    # A rule is not a number where it looks at such a value, wherever that stands.
    values = [3.0, math.nan, 1.0, 2.0]
    for order in (values, values[::-1]):
        assert math.isnan(value_by("best", order))
        assert math.isnan(value_by("median4", order))
    assert (value_by("best2", values), value_by("median2", values)) == (2.0, 1.5)
    assert value_by("best", [3.0, math.inf]) == math.inf


@pytest.mark.parametrize(
    ("rule", "epochs", "said"),
    [
        ("median10", None, "median of the last 10 epochs"),
        ("median10", 10, "median of all epochs"),
        ("median10", 11, "median of the last 10 epochs"),
        ("median10", 1, "the only epoch"),
        ("median1", 8, "median of the last epoch"),
        ("best", 8, "best of all epochs, chosen on the same data"),
        ("best10", None, "best of the last 10 epochs, chosen on the same data"),
        ("last", None, "last epoch"),
    ],
)
def test_a_rule_in_words(rule, epochs, said):
    assert rule_in_words(rule, epochs) == said


def test_the_last_epoch_has_the_rules_of_all():
    reported = [{"rmse": 5.0, "early": 1.0}, {"rmse": 2.0, "early": 2.0}, {"other": 0.5}, {"rmse": 4.0, "other": 0.0}]
    epochs = [Epoch(number, 4, metrics) for number, metrics in enumerate(reported, 1)]
    rules_of_all = {"rmse_best": 2.0, "rmse_median2": 3.0}
    found = summarised(epochs, (RMSE, TOP1, Metric("early", rules=("last",))))
    assert found == Epoch(4, 4, {"rmse": 4.0, "other": 0.0, **rules_of_all})


def test_a_value_has_the_decimals_and_the_unit_of_its_metric():
    values = (78.166, math.nan, -math.inf, 1e12, -0.0, -1e-12, -0.001, 0.00044)
    said = ["78.17 %", "not a number", "-inf %", "1e+12 %", "0.00 %", "0.00 %", "-0.001 %", "0.00044 %"]
    assert [TOP1.text(value) for value in values] == said
    signed = ["-0.0049", "+0.01", "-2e-05", "+0.00", "+0.00", "+0.00"]
    assert [decimals(value, 2, "+") for value in (-0.0049, 0.005, -2e-5, 0.0, 1e-14, -1e-14)] == signed
    assert RMSE.text(-1e300) == "-1e+300 kg"
    assert Metric("loss", digits=0).check().text(2.4) == "2"


def test_what_a_metric_leaves_open_and_the_names_that_find_it():
    whole = Metric("train_loss", "", 2, higher_is_better=None, rules=("last",), label="train loss")
    assert Metric("train_loss", rules=["last"]) == whole
    assert Metric.like(SimpleNamespace(name="train_loss", label="the loss")).label == "the loss"
    assert find((RMSE, TOP1), "test_top1_best10") is TOP1
    assert find((RMSE, TOP1), "rmse") is RMSE
    assert find((RMSE, TOP1), "rmse_last") is None


@pytest.mark.parametrize("name", ["loss", "µm", "train/loss", "a b", "a.b-c:d", ".a", "a.", "x" * 245])
def test_a_name_that_mlflow_records_is_a_metrics_name(name):
    metric = Metric(name, digits=15, rules=("last",)).check()
    for each in metric.names:
        _validate_metric_name(each)


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ((Metric("a", rules=("mean",), higher_is_better=True),), "unknown rule 'mean'"),
        ((Metric("a", rules=("best",)),), "needs higher_is_better"),
        ((Metric(5),), "a metric needs a name in text, got 5"),
        ((Metric("top-1 (%)"),), r"'top-1 \(%\)', but MLflow records 1 to 250 letters"),
        ((Metric("/acc"),), "'/acc', but MLflow records .* and / between names"),
        ((Metric("x" * 250, rules=("last",)),), "x_last', but MLflow records 1 to 250 letters"),
        ((Metric("a", unit=None),), "unit of the metric 'a' must be text, got None"),
        ((Metric("a", digits=-1),), "digits of the metric 'a' must be from 0 to 15, got -1"),
        ((Metric("a", digits=16),), "digits of the metric 'a' must be from 0 to 15, got 16"),
        ((Metric("a", higher_is_better="yes"),), "must be True or False or None, got 'yes'"),
        ((Metric("a", rules="last"),), "must be a list of names, got 'last'"),
        ((Metric("a", rules=(5,)),), r"must be a list of names, got \(5,\)"),
        ((Metric("loss"), Metric("loss")), "two metrics have the same name 'loss'"),
        ((Metric("Loss"), Metric("loss")), "two metrics are named 'Loss' and 'loss'"),
        ((Metric("loss", rules=("last",)), Metric("Loss_last")), "'loss_last' and 'Loss_last'"),
        ((Metric("loss", rules=("last", "last")),), "the same name 'loss_last'"),
        (Metric("loss"), "must be a list or tuple, such as"),
        ("loss", "must be a list or tuple, such as .* got 'loss'"),
        (("loss",), "must be of the type Metric, got 'loss'"),
        (np.array(0.5), "must be a list or tuple, such as .* got 0.5"),
    ],
)
def test_metrics_that_a_trainable_cannot_declare(metrics, sentence):
    with pytest.raises(BadInput, match=sentence):
        with_attributes(metrics=metrics)


def test_an_epoch_takes_real_numbers_of_any_library_and_words_of_any_letters_and_goes_through_json():
    numbers = {"true": True, "array": np.array(2.0), "single": np.float32(0.5), "quarter": Fraction(1, 4), "one": 1}
    numbers |= {"tensor": torch.tensor([0.5], requires_grad=True), "half": torch.tensor(3, dtype=torch.bfloat16)}
    words, histograms = {"file": "a\udcff\0b", "fox": "🦊", "gpus": 2}, {"lam": (np.float32(0.25), 0.75)}
    epoch = epoch_of(Epoch(np.int64(2), 3, {**numbers, "least": -math.inf, "small": 5e-324}, words, histograms))
    metrics = {"true": 1.0, "array": 2.0, "single": 0.5, "quarter": 0.25, "one": 1.0, "tensor": 0.5, "half": 3.0}
    metrics |= {"least": -math.inf, "small": 5e-324}
    plain = Epoch(2, 3, metrics, {"file": "a\\udcff\\0b", "fox": "🦊", "gpus": "2"}, {"lam": (0.25, 0.75)})
    assert repr(epoch) == repr(plain)  # a NumPy number would show its type
    assert from_json(json.loads(json.dumps(vars(epoch)))) == epoch
    assert epoch_of(SimpleNamespace(number=1, of=3, metrics={5: 1})) == Epoch(1, 3, {"5": 1.0})


@pytest.mark.parametrize(
    ("epoch", "sentence"),
    [
        (Epoch(1, 3, {"loss": 1j}), "'loss' must be a real number, got 1j"),
        (Epoch(1, 3, {"loss": torch.zeros(2)}), "'loss' must be a real number"),
        (Epoch(1, 3, {}, {"data%": "x"}), "the word 'data%' was reported, but MLflow records"),
        (Epoch(1, 3, {"note": "1.5"}), "'note' must be a real number, got '1.5'"),
        (Epoch(1, 3, {"loss": 10**6 * "x"}), "'loss' must be a real number, got 'x{12}...x{13}'"),
        (Epoch(1, 3, {}, {}, {"lam": 1.0}), "'lam' must be the shares of its bins, got 1.0"),
        (Epoch(1, 3, {}, ["a"]), r"the words of an epoch must be a mapping from names, got \['a'\]"),
        (Epoch(1, 3, {}, {}, 0.5), "the histograms of an epoch must be a mapping from names, got 0.5"),
        (Epoch(1, 3, {}, {"key": "a"}), "the word 'key' was reported, but a tag of Mixlab's own"),
        (Epoch(1, 3, {}, {}, {"lam": torch.tensor([1j])}), "'lam' must be the shares of its bins, got"),
        (Epoch(4, 3, {}), "from 1 to 3"),
        (Epoch(0, 3, {}), "from 1 to 3"),
        (Epoch(1.5, 3, {}), "'number' of an epoch must be a whole number, got 1.5"),
        (Epoch(1, None, {}), "'of' of an epoch must be a whole number, got None"),
        (Epoch(1, 3, [0.5]), "a mapping of metrics"),
        (Epoch(1, 3, {"loss%": 1.0}), "'loss%' was reported, but MLflow records"),
        *(
            (SimpleNamespace(**given), "number, of and a mapping of metrics")
            for given in ({"number": 1, "of": 3}, {"number": 1, "metrics": {}}, {"of": 3, "metrics": {}})
        ),
    ],
)
def test_what_is_no_epoch_is_refused_by_name(epoch, sentence):
    with pytest.raises(Refused, match=sentence):
        epoch_of(epoch)
