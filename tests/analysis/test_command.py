"""What every command of the analysis does alike."""

import argparse
import contextlib
import importlib
import os
import shlex
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from mlflow.exceptions import MlflowException

from analysis import command, evaluation, loss_landscape, mixer_gallery
from mixlab import installation

FULL = "[Errno 28] No space left on device"
NO_SUCH_SEED = "--seed 7 has no such run that is done; done: 0, 1"


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (KeyboardInterrupt("2 of 4 networks"), 130, "interrupted; 2 of 4 networks; the same command goes on"),
        (KeyboardInterrupt(), 130, "interrupted; the same command starts again"),
        (ValueError("the file\n  cannot be read\n"), 2, "the file cannot be read"),
        (
            MlflowException("API request failed (Caused by ResponseError('too many 503 error responses'))"),
            *(2, "MLflow: a server answers, but what is behind it, such as its database, does not: error 503"),
        ),
    ],
)
def test_an_end_is_said_in_one_line_with_what_is_kept(end, code, said, capsys):
    def work(_: argparse.Namespace) -> int:
        raise end

    assert command.run(work, command.parser("cam.py", ""), []) == code
    assert capsys.readouterr().err == f"cam.py: {said}\n"


@pytest.mark.parametrize(
    ("full", "end"),
    [
        (False, (0, "", "")),
        (True, (1, "", f"cam.py: there is no room left in the place of its output or files ({FULL}): free some\n")),
    ],
)
def test_a_reader_that_has_had_enough_is_no_error_and_a_full_disk_is_one(full, end, capfd):
    reading, writing = os.pipe()
    os.close(reading)
    if full:
        os.dup2(os.open("/dev/full", os.O_WRONLY), writing)
    # What is left is written as the file is closed, as at the end of a program, where an error would be printed.
    with os.fdopen(writing, "w") as output, contextlib.redirect_stdout(output):
        code = command.run(lambda _: print("row" * 10**6), command.parser("cam.py", ""), [])
        print("and more")
    assert (code, *capfd.readouterr()) == end


def test_letters_that_the_output_lacks_are_replaced():
    with TextIOWrapper(BytesIO(), "ascii") as output, contextlib.redirect_stdout(output):
        assert command.run(lambda _: command.finish([], "1 ± 2 é"), command.parser("cam.py", ""), []) == 0
        output.seek(0)
        assert output.read() == "1 +/- 2 ?\n"


@pytest.mark.parametrize(
    ("asked", "option", "value", "sentence"),
    [
        ("curvature", "--sigma", "small", "invalid float value: 'small'"),
        ("curvature", "--sigma", "0", "must be above 0 and finite, got 0"),
        ("curvature", "--draws", "1", "must be at least 2, got 1"),
        ("curvature", "--plane", "4", "must be 0 or an odd number from 5, got 4"),
        ("curvature", "--noises", "0", "must be at least 1, got 0"),
        ("detection", "--side", "8", "must be at least 32, got 8"),
        ("detection", "--lr", "nan", "must be above 0 and finite, got nan"),
        ("loss_landscape", "--steps", "6", "must be an odd number from 5, got 6"),
        ("loss_landscape", "--images", "many", "invalid int value: 'many'"),
        ("uncertainty", "--images", "2", "must be at least 3, got 2"),
    ],
)
def test_a_wrong_number_is_refused_with_the_name_of_its_option(asked, option, value, sentence, capsys):
    with pytest.raises(SystemExit):
        importlib.import_module(f"analysis.{asked}").main(["any", option, value])
    assert capsys.readouterr().err.endswith(f".py: error: argument {option}: {sentence}\n")


def test_the_plane_may_be_left_out():
    assert loss_landscape.parser.parse_args(["any", "--plane", "0"]).plane == 0


@pytest.mark.parametrize(
    ("asked", "options", "sentence"),
    [
        ("cam", "--arms 'baseline,+ lan'", "--arms '+ lan' is not an arm; the arms are: baseline, + lam"),
        ("cam", "--seed 7", NO_SUCH_SEED),
        ("cam", "--images 1", "--images must give at least 2 images, for a mixture, got 1"),
        ("cam", "--pick 7,x", "--pick must be positions in the test set such as 3,17,42, got '7,x'"),
        ("cam", "--pick 7,²", "--pick must be positions in the test set such as 3,17,42, got '7,²'"),
        ("cam", "--pick 7", "--pick must give at least 2 images, for a mixture, got 1"),
        ("cam", "--pick 7,40", "the test set has images 0 to 39, got 40"),
        ("detection", "--layout voc --data-root nowhere", "trainval.txt cannot be read"),
        ("learned_lambda", "", "no run that is done and learns lambda"),
        ("localisation", "", "there are boxes for networks of cub200; those of the study are of cifar10"),
        ("mixed_accuracy", "--images 1 --draws 2", "has 20 mixtures of different classes: give more --images than 1"),
        ("mixed_accuracy", "--mixer cutmx", "unknown --mixer 'cutmx'; did you mean 'cutmix'?"),
        ("mixtures", "", "has kept mixtures: only methods that learn masks do"),
        ("mixtures", "--arms '+ lan'", "--arms '+ lan' is not an arm"),
        ("mixtures", "--seed 7", NO_SUCH_SEED),
        ("occlusion", "--patch-size 33", "patch_size must be between 1 and 32 pixels, got 33"),
        ("occlusion", "--address head", "--address must be local, auto or HOST:PORT, got 'head'"),
        ("occlusion", "--address 127.0.0.1:1", "no Ray cluster answers at --address '127.0.0.1:1'"),
        ("out_of_distribution", "", "networks of cifar8, imagenet; those of the study are of cifar10"),
        ("robustness", "--substitutes 0123", "--substitutes '0123': MLflow has no config.json of it"),
        ("robustness", "--substitutes baseline:7", "no run that is done; there are, for instance: baseline:0, + lam:0"),
        ("robustness", "--substitutes baseline", "no run that is done; there are, for instance: baseline:0, + lam:0"),
        ("robustness", "--substitutes torchvision/resnet8", "torchvision has no weights 'IMAGENET1K_V1'"),
        ("subsampling", "", "no run that is done logged 'test_top1_median10' and a subset.share"),
    ],
)
def test_what_a_study_cannot_answer_is_one_sentence_without_a_table(trained, asked, options, sentence, out, capsys):
    assert trained.call(importlib.import_module(f"analysis.{asked}"), "--out", str(out), *shlex.split(options)) == 2
    *progress, said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("evaluated ") for line in progress)
    assert said.startswith(f"{asked}.py: ")
    assert sentence in said
    assert not list(out.glob("*.csv"))


@pytest.mark.parametrize(
    ("kind", "given", "sentence"),
    [
        (command.new_folder, "file/below", "'{}/file' is a file, and must be a folder"),
        (command.new_folder, "file", "'{}/file' is a file, and must be a folder"),
        (command.new_file, "folder", "'{}/folder' is a folder: name a file in it"),
        (command.new_file, "file/page.html", "'{}/file' is a file, and must be a folder"),
        (mixer_gallery.picture, "picture", "a picture ends in .jpg, .pdf, .png, .svg, got '{}/picture'"),
        (command.new_file, 300 * "x", "'{}/" + 300 * "x" + "' cannot be written (File name too long)"),
    ],
)
def test_a_place_where_nothing_can_be_written_is_refused_before_the_work(kind, given, sentence, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(argparse.ArgumentTypeError) as refusal:
        kind(str(tmp_path / given))
    assert str(refusal.value) == sentence.format(tmp_path)


@pytest.mark.parametrize("kind", [command.new_folder, command.new_file, command.given, command.names])
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_names_nothing(kind, text):
    """An unset variable of a shell is one: files would go to the current folder, and the last plan would be read."""
    with pytest.raises(argparse.ArgumentTypeError, match=f"must not be empty, got '{text}'"):
        kind(text)


def test_commas_alone_hold_no_name():
    with pytest.raises(argparse.ArgumentTypeError, match="must hold a name, got ', ,'"):
        command.names(", ,")


def test_a_command_is_called_as_it_was_typed(monkeypatch):
    for typed, shown in (("mixlab table", "mixlab table"), (None, "ablation_table.py")):
        monkeypatch.setattr(installation, "command", typed)
        assert command.parser("ablation_table.py", "").prog == shown


def test_only_a_command_that_evaluates_says_that_a_network_may_fail():
    assert "1 some network could not be" in evaluation.parser("cam.py", "").format_help()
    assert "Exit codes: 0 done; 1 a disk is full; 2 bad input" in command.study_parser("report.py", "").format_help()


@pytest.mark.parametrize(
    ("kind", "given", "locked", "sentence"),
    [
        (command.new_folder, "a/b", ".", "nothing can be written to '{}': name another folder"),
        (command.new_folder, ".", "table.md", "the file '{}' cannot be written: name another place"),
        (command.new_file, "table.md", "table.md", "the file '{}' cannot be written: name another place"),
        (command.new_file, "page.html", "table.md", ""),
    ],
)
def test_a_place_without_write_access_is_refused(kind, given, locked, sentence, tmp_path, monkeypatch):
    (tmp_path / "table.md").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path / locked)  # root may write everywhere
    refusal = pytest.raises(argparse.ArgumentTypeError, match=sentence.format(tmp_path / locked) or None)
    with refusal if sentence else contextlib.nullcontext():
        kind(str(tmp_path / given))


def test_every_command_refuses_a_place_where_nothing_can_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    commands = [file.stem for file in Path(command.__file__).parent.glob("*.py") if '"--out"' in file.read_text()]
    assert len(commands) > 5
    for name in set(commands) - {"command"}:
        with pytest.raises(SystemExit) as end:
            importlib.import_module(f"analysis.{name}").main(["any", "--out", str(tmp_path / "file" / "below.png")])
        assert end.value.code == 2, name
        assert "is a file, and must be a folder" in capsys.readouterr().err
