"""What every command of the analysis does alike."""

import argparse

import pytest

from analysis import command


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (KeyboardInterrupt("2 of 4 networks are evaluated"), "2 of 4 networks are evaluated; the same command goes on"),
        (KeyboardInterrupt(), "the same command starts again"),
    ],
)
def test_an_interruption_says_whether_something_is_kept(
    end: KeyboardInterrupt, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(_: argparse.Namespace) -> int:
        raise end

    assert command.run(work, command.parser("cam.py", ""), []) == 130
    assert capsys.readouterr().err == f"cam.py: interrupted; {said}\n"
