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


def test_a_word_is_a_number_where_the_form_has_one():
    text = json_form.dumps({"arm": "NaN", "values": [math.inf, 1, 0.1], "any": [{"x": -math.inf}]})
    found = json_form.loads(text, {"arm": str, "values": [float], "any": object})
    assert found == {"arm": "NaN", "values": [math.inf, 1, 0.1], "any": [{"x": -math.inf}]}
    assert math.isnan(json_form.loads('"NaN"', float))


@pytest.mark.parametrize(
    ("text", "form", "sentence"),
    [
        ("[]", {"a": int}, "it must be a mapping, got []"),
        ("5", [int], "it must be a list, got 5"),
        ("null", dict, "it must be a mapping, got None"),
        ("{}", {"a": int}, "it lacks 'a'"),
        ('{"a": 1.5}', {"a": int}, "a must be a whole number, got 1.5"),
        ('{"a": true}', {"a": int}, "a must be a whole number, got True"),
        ('{"a": "1"}', {"a": float}, "a must be a number, got '1'"),
        ('{"a": [1, "x"]}', {"a": [int]}, "an entry of a must be a whole number, got 'x'"),
        ('{"a": {"b": 1}}', {"a": {str: str}}, "'b' of a must be text, got 1"),
        ('{"a": 0}', {"a": bool}, "a must be true or false, got 0"),
        ("{", dict, "Expecting property name"),
    ],
)
def test_another_form_is_said_in_a_sentence(text, form, sentence):
    with pytest.raises(ValueError) as refused:
        json_form.loads(text, form)
    assert str(refused.value).startswith(sentence)
