"""What is written as JSON can be read by any program, and what is read back has the form that was written."""

import math

import numpy as np
import pytest

from mixlab.spec import json_form
from tests.strict_json import strict


def test_a_number_that_is_not_finite_is_its_word():
    content = {
        "low": -math.inf,
        "high": np.float64(math.inf),
        "single": np.float32(math.nan),
        "list": [1.5, (math.nan, True, None)],
        "array": np.array([1.0, math.inf]),
    }
    written = {
        "low": "-Infinity",
        "high": "Infinity",
        "single": "NaN",
        "list": [1.5, ["NaN", True, None]],
        "array": [1.0, "Infinity"],
    }
    assert strict(json_form.dumps(content)) == written
    assert strict(json_form.dumps(content, indent=2)) == written


def test_a_word_is_read_as_its_number():
    text = json_form.dumps({"values": [math.inf, 1, 0.1], "any": [{"x": -math.inf}]})
    assert json_form.loads(text) == {"values": [math.inf, 1, 0.1], "any": [{"x": -math.inf}]}
    for damaged in ("[]", "{"):
        with pytest.raises(ValueError, match=r"it is not a mapping|Expecting property name"):
            json_form.loads(damaged)
