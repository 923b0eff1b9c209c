"""The typed configuration: what it refuses, in which words, and its flat form."""

import re
from typing import Literal

import pytest

from trainables.config import checked, flatten, parse


def test_a_configuration_survives_the_flat_form():
    keys = {
        **{"dataset": "cifar10", "backbone": "resnet8", "mixer": "cutmix", "image_size": 16, "batch_size": 4},
        **{"optimiser": "adamw", "weight_decay_on": "matrices", "grad_clip": 1.0, "ema": 0.5, "label_smoothing": 0.1},
        **{"augment": "rrc_flip", "augment.scale": 0.8, "validation": 0.1, "subset.rule": "random"},
        **{"schedule": "multistep", "milestones": (0.3, 0.6), "lr_changes": "each_step", "warmup_epochs": 1},
    }
    flat = flatten(parse(keys))
    assert {key: flat[key] for key in keys} == keys
    assert parse(flat) == parse({**keys, "milestones": [0.3, 0.6]})


@pytest.mark.parametrize(
    ("value", "kind", "sentence"),
    [
        ((0.1,), tuple[float, float], "key must be a list of more values, got (0.1,)"),
        ((0.1, 0.2, 0.3), tuple[float, float], "key must be a list of at most 2 values, got (0.1, 0.2, 0.3)"),
        (5, tuple[float, float], "key must be a list, got 5"),
        (1.5, int, "key must be a whole number, got 1.5"),
        (True, int, "key must be a whole number, got True"),
        ("z", int | None, "key must be a whole number, got 'z'"),
        ("z", float, "key must be a number, got 'z'"),
        (2, bool, "key must be true or false, got 2"),
        (1, str, "key must be text, got 1"),
        ("q", Literal["a", "b"], "key must be 'a' or 'b', got 'q'"),
    ],
)
def test_what_is_wanted_of_a_value_is_said_in_plain_words(value, kind, sentence):
    """Those of the library made "must be Field required" and "must be a integer"."""
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        checked("key", value, kind)
