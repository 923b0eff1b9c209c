"""A part of a study that is called with wrong arguments answers in a sentence, also where a script is just a script."""

import subprocess
import sys
from unittest.mock import Mock

import pytest

from mixlab import Arm, Choice, Options, Search, Study, factorial, main, run
from mixlab.spec.complete import complete
from mixlab.spec.user_input import checked_arguments
from tests.endings import refused
from tests.mixlab.spec.minimal import STUDY, Toy


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
        (lambda: complete(Toy), "a class: give an object of it"),
        (lambda: complete(3), "must be a callable object, got 3"),
        (lambda: complete(lambda settings, seed, report, data_root: None), "unexpected keyword argument 'resume_from'"),
        (lambda: complete(lambda settings, seed, report, resume_from: None), "unexpected keyword argument 'data_root'"),
        (lambda: complete(lambda settings, seed, **named: None), "does not take: too many positional arguments"),
        (lambda: run(STUDY, Toy(), {"quiet": True}), "a run must be an Options, such as Options(quiet=True)"),
        (lambda: run(STUDY, Toy(), Options), "a run must be an Options, such as Options(quiet=True)"),
        (lambda: run({"name": "x"}, Toy()), "must be a Study or a Search, got {'name': 'x'}"),
        (lambda: run(STUDY, Toy(), console=3), "must be a rich.console.Console, got 3"),
        (lambda: STUDY.with_arms(["c"]), "unknown arm 'c'; there are 'a', 'b'"),
        (lambda: STUDY.with_levels("mixer", []), "no level of the factor mixer is named: give at least one"),
        (lambda: STUDY.with_levels("mixer", [[[0.0]]]), "a level of 'mixer' needs a name in text, got [[0.0]]"),
    ],
)
def test_a_wrong_argument_is_named_with_what_would_be_right(call, sentence):
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
