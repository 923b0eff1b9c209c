"""Metrics and their rules, and the values that a report of an epoch may hold."""

import statistics

import numpy as np
import pytest

from mixlab import Epoch, Metric
from mixlab.errors import BadInput
from mixlab.spec import rules
from mixlab.spec.epoch import Refused, epoch_of, from_json, summarised
from mixlab.spec.metric import find

TOP1 = Metric("test_top1", "%", higher_is_better=True, rules=("last", "median10", "best", "best10"))
RMSE = Metric("rmse", "kg", digits=3, higher_is_better=False, rules=("best", "median2"))


def test_rules_by_hand() -> None:
    values = [1.0, 9.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 2.0, 10.0, 4.0, 6.0]
    assert TOP1.summary(values) == {
        "test_top1_last": 6.0,
        "test_top1_median10": statistics.median(values[-10:]),
        "test_top1_best": 10.0,
        "test_top1_best10": 10.0,
    }
    assert RMSE.summary(values) == {"rmse_best": 1.0, "rmse_median2": 5.0}
    assert RMSE.summary([3.0]) == {"rmse_best": 3.0, "rmse_median2": 3.0}


def test_a_rule_in_words() -> None:
    assert rules.words("median10") == "median of the last 10 epochs"
    assert rules.words("median10", epochs=3) == "median of all epochs"
    assert rules.words("median10", epochs=1) == "the only epoch"
    assert rules.words("best", epochs=8) == "best of all epochs, chosen on the test set"
    assert rules.words("best10") == "best of the last 10 epochs, chosen on the test set"
    assert rules.words("last") == "last epoch"


def test_the_last_epoch_has_the_rules_of_all() -> None:
    epochs = [Epoch(n, 3, {"rmse": value, "other": 0.0}) for n, value in ((1, 5.0), (2, 2.0), (3, 4.0))]
    assert summarised(epochs, (RMSE, TOP1)).metrics == {
        "rmse": 4.0,
        "other": 0.0,
        "rmse_best": 2.0,
        "rmse_median2": 3.0,
    }


def test_a_metric_is_found_by_its_own_name_and_by_its_rules() -> None:
    assert find((RMSE, TOP1), "test_top1_best10") is TOP1
    assert find((RMSE, TOP1), "rmse") is RMSE
    assert find((RMSE, TOP1), "rmse_last") is None
    assert TOP1.text(78.166) == "78.17 %"


@pytest.mark.parametrize(
    ("metric", "sentence"),
    [
        (Metric("a", rules=("mean",), higher_is_better=True), "unknown rule 'mean'"),
        (Metric("a", rules=("median0",), higher_is_better=True), "unknown rule 'median0'"),
        (Metric("a", rules=("best",)), "needs higher_is_better"),
        (Metric(" "), "needs a name"),
    ],
)
def test_a_wrong_metric_is_refused(metric: Metric, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        metric.check()


def test_an_epoch_takes_real_numbers_of_any_kind_and_goes_through_json() -> None:
    reported = Epoch(np.int64(2), 3, {"a": np.float32(0.5), "b": 1}, {"data": "x"}, {"lam": (np.float32(0.25), 0.75)})
    epoch = epoch_of(reported)
    assert epoch == Epoch(2, 3, {"a": 0.5, "b": 1.0}, {"data": "x"}, {"lam": (0.25, 0.75)})
    assert type(epoch.metrics["a"]) is float
    assert from_json(epoch.json()) == epoch


@pytest.mark.parametrize(
    ("epoch", "sentence"),
    [
        (Epoch(1, 3, {"note": "good"}), "'note' must be a real number, got 'good'"),  # type: ignore[dict-item]
        (Epoch(1, 3, {"loss": None}), "'loss' must be a real number, got None"),  # type: ignore[dict-item]
        (Epoch(4, 3, {}), "from 1 to 3"),
        (Epoch(0, 3, {}), "from 1 to 3"),
        ({"epoch": 1}, "number, of and metrics"),
    ],
)
def test_what_is_no_epoch_is_refused_by_name(epoch: object, sentence: str) -> None:
    with pytest.raises(Refused, match=sentence):
        epoch_of(epoch)
