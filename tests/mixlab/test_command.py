"""The command ``mixlab``: studies by name, the tools around them, and packages that hide ours."""

import os
import subprocess
import sys
from contextlib import redirect_stdout
from io import BytesIO, TextIOWrapper
from pathlib import Path
from unittest.mock import Mock

import pytest

from mixlab import cli, installation
from mixlab.__main__ import TOOLS, main
from mixlab.installation import studies
from mixlab.messages import STOPPED
from tests.endings import ended

STUDY = '''"""A study of one print."""
import sys
print("given", sys.argv[1:], __name__)
sys.exit(7)
'''


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch) -> None:
    """Restore what a command changes for the process: its arguments and the path of imports."""
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(installation, "command", None)


def test_every_study_is_listed_with_what_it_shows(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(studies())
    assert any(line.startswith("ablation_cifar100 ") and "Ablation of the terms of SUMix" in line for line in lines)


def test_a_narrow_terminal_shows_whole_words(capfd, monkeypatch):
    assert main(["list"]) == 0
    words = capfd.readouterr().out.split()
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((40, 24)))
    assert main(["list"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert " ".join(lines).split() == words
    assert max(map(len, lines)) <= 40


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Return the folder ``studies`` of the current folder."""
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "studies"


def test_a_file_that_is_no_python_is_listed_as_such(folder, capsys):
    (folder / "broken.py").write_text("def (")
    (folder / "latin.py").write_bytes('"""Größe"""'.encode("latin-1"))
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "cannot be read: " in line] == ["broken", "latin"]


def test_a_study_of_the_current_folder_wins_and_gets_its_options(folder, capsys):
    (folder / "ablation_cifar100.py").write_text(STUDY)
    for name in ("ablation_cifar100", "studies/ablation_cifar100.py"):
        with ended(7):
            main(["run", name, "--preset", "quick"])
        assert capsys.readouterr().out == "given ['--preset', 'quick'] __main__\n"


TRAINABLE = """
from pathlib import Path
from mixlab import Arm, Metric, Study, main

class Reader:
    metrics = (Metric("rmse", higher_is_better=False, rules=("last",)),)
    prepared = ("data",)

    def __call__(self, settings, seed, report, *, resume_from=None, data_root=Path("data")):
        raise AssertionError("trained")

    def lacking(self, settings, data_root):
        return [] if (data_root / settings["data"]).exists() else [f"{settings['data']} is missing"]

    def prepare(self, settings, data_root):
        (data_root / settings["data"]).touch(exist_ok=False)

arms = (Arm("one", {}), Arm("other", {"data": "b"}), Arm("third", {"more": 1}))
main(Study(name="reading", base={"data": "a"}, arms=arms, seeds=range(2)), Reader())
"""


def test_letters_that_the_output_lacks_are_replaced(folder):
    (folder / "mine.py").write_text('"""Größe – 1 ± 0 → ≥ 2 × x"""', encoding="utf-8")
    with TextIOWrapper(BytesIO(), "ascii") as output, redirect_stdout(output):
        assert main(["list"]) == 0
        output.seek(0)
        assert "Gr??e - 1 +/- 0 -> >= 2 x x" in output.read()


@pytest.fixture
def reading(tmp_path) -> tuple[str, Path]:
    """Return the file of a study, and an empty data root for it."""
    (tmp_path / "reading.py").write_text(TRAINABLE)
    (tmp_path / "data").mkdir()
    return str(tmp_path / "reading.py"), tmp_path / "data"


def test_what_a_study_reads_is_fetched_once_and_nothing_is_trained(reading, capsys):
    study, data = reading
    with ended(0):
        main(["fetch", study, "--data-root", str(data)])
    assert {path.name for path in data.iterdir()} == {"a", "b"}
    assert capsys.readouterr().out == f"All that reading reads is in {data}\n"


def test_what_is_interrupted_before_or_after_its_own_work_says_so_in_a_sentence(reading, capsys, monkeypatch):
    study, _ = reading
    monkeypatch.setattr(cli, "run", Mock(side_effect=KeyboardInterrupt))
    with ended(130):
        main(["run", study])
    Path(study).write_text("raise KeyboardInterrupt")
    assert main(["run", study]) == 130
    assert capsys.readouterr().err == 2 * f"{STOPPED}\n"


@pytest.mark.parametrize(
    ("there", "line"),
    [("", "a is missing; b is missing"), ("b", "a is missing"), ("ab", "found in {data}; the start checks it")],
)
def test_a_dry_run_says_which_data_are_missing(there, line, reading, tmp_path, capsys):
    study, data = reading
    for name in there:
        (data / name).touch()
    where = ("--data-root", str(data), "--tracking-uri", f"sqlite:///{tmp_path}/none.db", "--storage", str(tmp_path))
    with ended(0):
        main(["run", study, "--dry-run", *where])
    assert f"\nData: {line.format(data=data)}\n" in capsys.readouterr().out
    assert {path.name for path in data.iterdir()} == set(there)


ENDINGS = ("tests/endings", "tests/ending.py")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rum"], "unknown command 'rum'; did you mean 'run'?"),
        (["run"], "mixlab run takes the name of a study first, such as ablation_cifar100; mixlab list names them all"),
        (["run", "ablation_cifar10"], "unknown study 'ablation_cifar10'; did you mean 'ablation_cifar100'?"),
        (["list", "--json"], "mixlab list takes nothing more, got '--json'; mixlab run STUDY --list says more"),
        *((["run", wrong], f"unknown study {wrong!r}; did you mean 'tests/endings.py'?") for wrong in ENDINGS),
        (["run", "none/mine.py"], "unknown study 'none/mine.py'; there are 'ablation_cifar100', "),
    ],
)
def test_a_wrong_name_is_one_sentence(arguments, sentence, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {sentence}")


@pytest.mark.parametrize("arguments", [[], ["-h"], ["run", "--help"], ["fetch", "-h"], ["list", "--help"]])
def test_help_names_every_command(arguments, capsys):
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in ("list", "run", "fetch", *TOOLS))


@pytest.mark.parametrize("command", ["run", "fetch"])
def test_the_help_of_a_study_begins_with_what_was_typed(command, reading, capsys):
    with ended(0):
        main([command, reading[0], "--help"])
    assert capsys.readouterr().out.split()[:4] == ["usage:", "mixlab", command, reading[0]]


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_is_a_module_with_help(name, capsys):
    with ended(0):
        main([name, "--help"])
    assert f"usage: mixlab {name} " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["trainables", "analysis", "platform"])
def test_a_package_that_hides_ours_is_named(name, tmp_path, monkeypatch, capsys):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["list"]) == 2
    assert f"{tmp_path / name} hides" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["torch.py", "numpy.py", "queue.py", "analysis.py", "test.py"])
def test_a_file_that_hides_a_library_is_named_whether_it_is_the_study_or_is_beside_it(name, tmp_path, capsys):
    file = tmp_path / name
    file.write_text("import sys, mixlab\nsys.exit(7)\n")
    (tmp_path / "study.py").write_text(STUDY)
    if name == "test.py":  # Python's own, which nobody imports
        with ended(7):
            main(["run", str(file)])
        return
    sentence = f"error: {str(file)!r} hides the library {file.stem!r} from all that import it: rename the file\n"
    assert main(["run", str(tmp_path / "study.py")]) == 2
    assert capsys.readouterr().err == sentence
    done = subprocess.run([sys.executable, file], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, sentence)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"study = 1\ndef broken(:\n", "{file}, line 2: invalid syntax"),
        (b"import the_broken_part\n", "{part}, line 1: '(' was never closed"),
        ('study = "Größe"'.encode("latin-1"), "{file}, line 1: (unicode error) 'utf-8' codec can't decode byte 0xf6"),
    ],
)
def test_a_file_with_a_syntax_error_is_named_with_its_line(content, sentence, tmp_path, capsys):
    file, part = tmp_path / "broken.py", tmp_path / "the_broken_part.py"
    file.write_bytes(content)
    part.write_text("arms = (")
    for command in ("run", "fetch"):
        assert main([command, str(file)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {sentence.format(file=file, part=part)}")
        assert said.count("\n") == 1
