"""A list of files keeps its names and labels, in a mixed order and in little memory."""

import pytest
import torch

from trainables.datasets.file_list import FileList

NAMES = [f"class{i % 3}/é {i}.jpg" for i in range(40)]
LABELS = [i % 3 for i in range(40)]


def in_order(files):
    return [(files.name(i), int(files.labels[i])) for i in range(len(files))]


@pytest.fixture
def files(tmp_path):
    for i, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes([i] * i))
    return FileList.of(tmp_path, NAMES, LABELS)


def test_names_keep_their_labels(files, tmp_path):
    assert sorted(in_order(files)) == sorted(zip(NAMES, LABELS, strict=True))
    assert files.path(3) == tmp_path / files.name(3)
    assert in_order(files.take(torch.tensor([7, 2]))) == [in_order(files)[7], in_order(files)[2]]


def test_the_order_is_mixed_and_does_not_depend_on_the_one_given(files, tmp_path):
    assert in_order(files) == in_order(FileList.of(tmp_path, NAMES[::-1], LABELS[::-1]))
    places = {pair: place for place, pair in enumerate(in_order(files))}
    assert [places[pair] for pair in sorted(places)][:5] == [0, 8, 37, 22, 25]  # the same in every version
    assert set(files.labels[:10].tolist()) == {0, 1, 2}  # the first few are of all classes


def test_the_digest_changes_with_a_name_a_label_and_a_byte(files, tmp_path):
    before = files.digest()
    assert FileList.of(tmp_path, NAMES, LABELS).digest() == before
    assert FileList.of(tmp_path, NAMES, [*LABELS[:-1], 1]).digest() != before
    (tmp_path / "class0" / "new.jpg").write_bytes((tmp_path / NAMES[0]).read_bytes())
    assert FileList.of(tmp_path, ["class0/new.jpg", *NAMES[1:]], LABELS).digest() != before
    (tmp_path / NAMES[20]).write_bytes(b"other")
    assert files.digest() != before
    (tmp_path / NAMES[20]).unlink()
    assert len(files.digest()) == 32  # whoever decodes the images names it


def test_names_take_little_memory():
    files = FileList.of(__file__, (f"n{i:08}/n{i:08}_{i}.JPEG" for i in range(1000)), range(1000))
    assert sum(tensor.nbytes for tensor in (files.names, files.starts, files.ends, files.labels)) < 60_000
