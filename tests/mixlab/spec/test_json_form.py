"""What is written as JSON can be read by any program, and what is read back has the form that was written."""

import math

import numpy as np
import pytest

from mixlab.spec import json_form
from tests.strict_json import strict


def test_a_number_that_is_not_finite_is_its_word():
    given = [-math.inf, np.float64(math.inf), np.float32(math.nan), (1.5, [math.nan, True, None]), np.array([math.inf])]
    written = ["-Infinity", "Infinity", "NaN", [1.5, ["NaN", True, None]], ["Infinity"]]
    for options in ({}, {"indent": 2}):
        assert strict(json_form.dumps({"values": given}, **options)) == {"values": written}


def test_a_word_is_read_as_its_number():
    text = json_form.dumps({"values": [math.inf, 1, 0.1], "any": [{"x": -math.inf}]})
    assert json_form.loads(text) == {"values": [math.inf, 1, 0.1], "any": [{"x": -math.inf}]}
    for damaged in ("[]", "{"):
        with pytest.raises(ValueError, match=r"it is not a mapping|Expecting property name"):
            json_form.loads(damaged)
