"""A study file that Python cannot read, or that imports one, is answered in a sentence with the file and the line."""

import sys
from pathlib import Path

import pytest

from mixlab.__main__ import main


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"study = 1\ndef broken(:\n", "{file}, line 2: invalid syntax"),
        (b"import the_broken_part\n", "{part}, line 1: '(' was never closed"),
        ('study = "Größe"'.encode("latin-1"), "{file}, line 1: (unicode error) 'utf-8' codec can't decode byte 0xf6"),
    ],
)
def test_a_file_with_a_syntax_error_is_named_with_its_line(
    content: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "path", [*sys.path])
    file, part = tmp_path / "broken.py", tmp_path / "the_broken_part.py"
    file.write_bytes(content)
    part.write_text("arms = (")
    for command in ("run", "fetch"):
        assert main([command, str(file)]) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"error: {sentence.format(file=file, part=part)}")
        assert said.count("\n") == 1
