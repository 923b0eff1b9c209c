"""Folders of images sorted into classes, lists and tables of them, and a data set that is such a folder."""

import os

import pytest
from torchvision.datasets import ImageFolder

from tests.trainables.datasets.files import pairs, require_refused
from trainables.datasets import DATASETS, folder
from trainables.datasets.dataset import DataError
from trainables.datasets.decoding import decode
from trainables.datasets.image_files import class_names, in_class_folders, listed, read_table, require_count


def test_folders_of_a_class_are_walked_as_torchvision_walks_them_without_hidden_files(tmp_path, picture, capsys):
    for name in "a/1.jpg", "a/x/y/2.png", "a/x/3.JPE", "b/4.jpg", "b/z/5.pgm":
        picture(tmp_path / name, format="PNG")
    images = ImageFolder(tmp_path, is_valid_file=lambda path: True).imgs
    theirs = {(path.removeprefix(f"{tmp_path}/"), label) for path, label in images}
    assert pairs(in_class_folders(tmp_path, ["a", "b"])) == theirs
    assert capsys.readouterr().err == ""
    picture(tmp_path / "b" / "6.jfif", format="JPEG")
    hidden = "a/._1.jpg", "b/.DS_Store", "a/.thumbnails/1.jpg", ".cache/c/d"
    for name in (*hidden, "a/x/Thumbs.db", "b/list.csv", "README"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"no image")
    assert class_names(tmp_path) == ["a", "b"]
    for _ in range(2):
        assert pairs(in_class_folders(tmp_path, ["a", "b"])) == theirs | {("b/6.jfif", 1)}
    said = capsys.readouterr().err.splitlines()
    assert said == [f"{tmp_path}: left out 2 files without the ending of an image, such as a/x/Thumbs.db"]


def test_links_are_followed_but_those_to_a_folder_above(tmp_path, picture):
    picture(tmp_path / "elsewhere" / "x" / "2.jpg")
    (tmp_path / "images" / "a").mkdir(parents=True)
    (tmp_path / "images" / "a" / "1.jpg").symlink_to(tmp_path / "elsewhere" / "x" / "2.jpg")
    (tmp_path / "images" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "a" / "again").symlink_to(tmp_path / "elsewhere")
    found = pairs(in_class_folders(tmp_path / "images", ["a"]))
    assert found == {("a/1.jpg", 0), ("a/more/x/2.jpg", 0), ("a/again/x/2.jpg", 0)}
    (tmp_path / "elsewhere" / "back").symlink_to("../images")
    require_refused(r"images/a/\w+/back/a is a link to a folder above it", in_class_folders, tmp_path / "images", ["a"])


def test_a_link_that_leads_to_itself_is_named(tmp_path, picture):
    picture(tmp_path / "a" / "1.jpg")
    for loop in (tmp_path / "b", tmp_path / "a" / "2.jpg"):
        loop.symlink_to(loop.name)
    assert class_names(tmp_path) == ["a"]
    require_refused(rf"^{tmp_path}/a/2.jpg is a link that leads nowhere$", in_class_folders, tmp_path, ["a"])
    with pytest.raises(DataError, match=rf"^{tmp_path}/a/2.jpg cannot be read \(Too many levels of symbolic links\)$"):
        decode(tmp_path / "a" / "2.jpg")
    with pytest.raises(DataError, match=rf"^the folder {tmp_path}/b cannot be read \(Too many levels of"):
        in_class_folders(tmp_path, ["b", "a"])


def test_names_in_any_encoding(tmp_path, picture):
    latin = os.fsdecode("caf\xe9".encode("latin-1"))
    picture(tmp_path / latin / f"{latin}.jpg")
    files = in_class_folders(tmp_path, class_names(tmp_path))
    assert decode(files.path(0)).shape == (3, 16, 20)
    assert len(files.digest()) == 32
    (tmp_path / latin / f"{latin}.jpg").write_text("no image")
    with pytest.raises(DataError) as error:
        decode(files.path(0))
    str(error.value).encode()  # can be printed
    assert "caf\ufffd.jpg" in str(error.value)


def test_what_is_wrong_with_class_folders_is_named(tmp_path, picture):
    picture(tmp_path / "a" / "1.jpg")
    (tmp_path / "empty").mkdir()
    for read, given, message in (
        (in_class_folders, (tmp_path, ["a", "empty"]), rf"the class folder {tmp_path}/empty has no image"),
        (in_class_folders, (tmp_path, ["a"]), rf"{tmp_path}/empty is not one of the classes"),
        (in_class_folders, (tmp_path, ["a", "z", "empty"]), rf"the folder {tmp_path}/z is missing"),
        (class_names, (tmp_path, 3), rf"{tmp_path} has 2 class folders instead of 3"),
        (class_names, (tmp_path / "empty",), rf"{tmp_path}/empty has no class folders"),
        (class_names, (tmp_path / "a/1.jpg",), rf"the folder {tmp_path}/a/1.jpg cannot be read \(Not a directory\)"),
    ):
        require_refused(f"^{message}$", read, *given)
    (tmp_path / "empty").rmdir()
    with pytest.raises(DataError, match=rf"^{tmp_path} has 1 image instead of 2: the copy is not complete$"):
        require_count(in_class_folders(tmp_path, ["a"]), 2)


def test_the_first_listed_image_that_is_not_there_is_named(tmp_path, picture):
    def found(*names):
        return pairs(listed(tmp_path, tmp_path / "list.txt", [(name, "kind") for name in names], {"kind": 4}))

    picture(tmp_path / "x" / "1.jpg")
    assert found("x/1.jpg") == {("x/1.jpg", 4)}
    (tmp_path / "x" / "2.jpg").symlink_to("nowhere.jpg")
    for names, first in ((("x/1.jpg", "x/2.jpg", "x/3.jpg"), f"{tmp_path}/x/2.jpg"), (("y/2.jpg",), "the folder .*/y")):
        require_refused(f"^{first} is missing$", found, *names)


def test_tables_are_read_line_by_line(tmp_path):
    table = tmp_path / "table.txt"
    table.write_text("\ufeff1 one two \n \n2 three\n")  # as an editor on Windows marks a file
    assert read_table(table, 2) == [["1", "one two"], ["2", "three"]]
    require_refused(rf"^{table} is broken: line 3 has 2 words instead of 3$", read_table, table, 3)
    require_refused(r"none.txt cannot be read \(No such file or directory\)$", read_table, tmp_path / "none.txt", 1)
    table.write_bytes(b"caf\xe9")
    require_refused(rf"^{table} cannot be read \('utf-8' codec can't decode", read_table, table, 1)


def test_a_folder_has_the_classes_of_its_training_folders(lay_out):
    root = lay_out(dict.fromkeys(("train/tulip/1.png", "train/daisy/2.png", "val/tulip/3.png", "val/daisy/4.png")))
    train, test = folder.load(root)
    assert pairs(train) == {("daisy/2.png", 0), ("tulip/1.png", 1)}
    assert pairs(test) == {("daisy/4.png", 0), ("tulip/3.png", 1)}
    (root / "val").rename(root / "tests")
    assert [len(images) for images in folder.load(root)] == [2, 0]
    lay_out({"test/tulip/5.png": None, "test/rose/6.png": None})
    with pytest.raises(DataError, match=r"/test/rose is not one of the classes$"):
        folder.load(root)  # a test folder comes before a validation folder


def test_a_folder_that_is_not_there_or_lacks_a_split_is_named(tmp_path, lay_out):
    for written, message in (
        ({}, r"^the folder .*/flowers is missing; it should have train/ and test/"),
        ({"flowers/a/1.jpg": None}, r"/flowers has no folder train; it should have train/ and test/"),
    ):
        lay_out(written)
        require_refused(message, DATASETS["folder"].prepare, tmp_path / "flowers")
