"""The command ``mixlab``: studies by name, the tools around them, and packages that hide ours."""

import sys
from pathlib import Path

import pytest

from mixlab import installation
from mixlab.__main__ import TOOLS, main
from mixlab.installation import studies

STUDY = '''"""A study of one print."""
import sys
print("given", sys.argv[1:], __name__)
sys.exit(7)
'''


@pytest.fixture(autouse=True)
def undisturbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore what a command changes for the process: its arguments and the path of imports."""
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])


def test_every_study_is_listed_with_what_it_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(studies())
    assert any(line.startswith("ablation_cifar100 ") and "Ablation of the terms of SUMix" in line for line in lines)


def test_a_file_that_is_no_python_is_listed_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "broken.py").write_text("def (")
    (tmp_path / "studies" / "latin.py").write_bytes('"""Größe"""'.encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if "cannot be read: " in line] == ["broken", "latin"]


def test_a_study_of_the_current_folder_wins_and_gets_its_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "ablation_cifar100.py").write_text(STUDY)
    monkeypatch.chdir(tmp_path)
    for name in ("ablation_cifar100", "studies/ablation_cifar100.py"):
        with pytest.raises(SystemExit) as ended:
            main(["run", name, "--preset", "quick"])
        assert ended.value.code == 7
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


def test_what_a_study_reads_is_fetched_once_and_nothing_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reading.py").write_text(TRAINABLE)
    (tmp_path / "data").mkdir()
    with pytest.raises(SystemExit) as ended:
        main(["fetch", str(tmp_path / "reading.py"), "--data-root", str(tmp_path / "data")])
    assert ended.value.code == 0
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"a", "b"}
    assert capsys.readouterr().out == f"All that reading reads is in {tmp_path / 'data'}\n"


@pytest.mark.parametrize(
    ("there", "line"), [("", "a is missing; b is missing"), ("b", "a is missing"), ("ab", "found in {data}")]
)
def test_a_dry_run_says_which_data_are_missing(
    there: str, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reading.py").write_text(TRAINABLE)
    data = tmp_path / "data"
    data.mkdir()
    for name in there:
        (data / name).touch()
    where = ("--data-root", str(data), "--tracking-uri", f"sqlite:///{tmp_path}/none.db", "--storage", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["run", str(tmp_path / "reading.py"), "--dry-run", *where])
    assert ended.value.code == 0
    assert f"\nData: {line.format(data=data)}\n" in capsys.readouterr().out
    assert {path.name for path in data.iterdir()} == set(there)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["rum"], "unknown command 'rum'; did you mean 'run'?"),
        (["run"], "mixlab run takes the name of a study first, such as ablation_cifar100; mixlab list names them all"),
        (["run", "ablation_cifar10"], "unknown study 'ablation_cifar10'; did you mean 'ablation_cifar100'?"),
        (["list", "--json"], "mixlab list takes nothing more, got '--json'; mixlab run STUDY --list says more"),
        (["run", "mine.py"], "there is no study 'mine.py'; name a Python file"),
    ],
)
def test_a_wrong_name_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {sentence}")


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {name} " in said for name in ("list", "run", "fetch", *TOOLS))


@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_is_a_module_with_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["trainables", "analysis", "platform"])
def test_a_package_that_hides_ours_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert main(["list"]) == 2
    assert f"{tmp_path / name} hides" in capsys.readouterr().err


def test_a_package_that_was_installed_over_ours_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installation, "_overwritten", lambda: [tmp_path / "analysis" / "__init__.py"])
    assert main(["list"]) == 2
    assert "another package of that name was installed over it" in capsys.readouterr().err
