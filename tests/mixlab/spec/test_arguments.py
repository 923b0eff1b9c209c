"""A part of a study that is called with wrong arguments answers in a sentence, also where a script is just a script."""

import subprocess
import sys
from unittest.mock import Mock

import pytest

from mixlab import Arm, Choice, Search, Study, factorial, main, run
from mixlab.spec.border import checked_arguments
from tests.endings import refused


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Study(arm=()), "unknown argument of Study 'arm'; did you mean 'arms'?"),
        (lambda: Study(name="x", arms=()), "of Study: missing a required argument: 'base'; it takes name="),
        (lambda: Study("x", {}), "of Study: too many positional arguments, got 'x', {}; it takes name="),
        (lambda: Arm("one"), "missing a required argument: 'changes', got 'one'; it takes name, changes, against"),
        (lambda: Arm("one", change={}), "unknown argument of Arm 'change'; did you mean 'changes'?"),
        (lambda: Arm("one", {}, name="other"), "multiple values for argument 'name'"),
        (lambda: Search(stady=None), "unknown argument of Search 'stady'; did you mean 'study'?"),
        (lambda: Choice(1, 2, wen={}), "unknown argument of Choice 'wen'; did you mean 'when'?"),
        (lambda: factorial(), "missing a required argument: 'terms'"),
        (lambda: factorial([3]), 'a term is a name and what it changes, such as ("l_s", {"penalty": 0.1}), got 3'),
        (lambda: factorial([]), "a design needs at least one term, a name and what it changes, got []"),
        (lambda: run(None), "wrong arguments of run: missing a required argument: 'train', got None; it takes study,"),
        (lambda: main(None, None, option=()), "unknown argument of main 'option'; did you mean 'train'?"),
    ],
)
def test_a_wrong_argument_is_named_with_those_that_there_are(call, sentence):
    with refused(sentence):
        call()


def test_what_is_called_rightly_is_made_as_ever():
    assert Arm("one", {"x": 1}, control=True) == Arm(name="one", changes={"x": 1}, control=True)
    assert Choice(1, 2).values == (1, 2)
    anything = Mock()  # it has a dtype and a tolist, as it has everything
    assert checked_arguments(lambda train: train)(anything) is anything


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("Study(arm=())", 2, "error: unknown argument of Study 'arm'; did you mean 'arms'?\n"),
        ("nothing", 1, "NameError: name 'nothing' is not defined\n"),
    ],
)
def test_a_script_that_builds_a_wrong_study_ends_by_a_sentence(line, code, said, tmp_path):
    (tmp_path / "mine.py").write_text(f"import mixlab\nfrom mixlab import Study\n{line}\n")
    done = subprocess.run([sys.executable, "-P", "mine.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stderr.endswith(said)
    assert ("Traceback" in done.stderr) == (code == 1)
