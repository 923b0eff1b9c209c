"""A subset takes the same share of each class, by the file's scores, whatever the seed; counted by hand.

So does the part of the training images that is held out for validation.
"""

from pathlib import Path

import pytest
import torch
from torch import Generator

from trainables.config import parse
from trainables.datasets.dataset import Split, Splits
from trainables.datasets.opening import open_splits
from trainables.datasets.subsampling import choose, chosen, hold_out, read_scores

LABELS = torch.tensor([0, 1, 0, 1, 0, 1, 0, 1, 0, 2])
ROWS = (  # images 0, 2, 4, 6, 8 are of class 0: CV falls, the mean rises, the deviation falls
    "image,label,mean,std,cv,dropout,k_centre",
    *(f"{i},{int(LABELS[i])},{1 + i},{9 - i},{(9 - i) / (1 + i)},{i % 3},{9 - i}" for i in range(10)),
)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "scores.csv"
    path.write_text("\n".join((ROWS[0], *reversed(ROWS[1:]))) + "\n")  # the order of the rows does not matter
    return str(path)


def config(**subset):
    return parse({"dataset": "cifar10", **{f"subset.{key}": value for key, value in subset.items()}}).subset


@pytest.mark.parametrize(
    ("rule", "first"),
    [
        ("cv", [0, 1, 2, 3, 9]),  # 2 of 5, 2 of 4, and the only one of class 2
        ("std", [0, 1, 2, 3, 9]),
        ("easy", [0, 1, 2, 3, 9]),
        ("hard", [5, 6, 7, 8, 9]),
        ("dropout", [1, 2, 5, 8, 9]),  # 2 and 8 have 2; of class 1 image 5 has 2, and 1 is the first that has 1
        ("k_centre", [5, 6, 7, 8, 9]),
    ],
)
def test_each_rule_takes_the_top_of_its_column_from_every_class(rule, first, file):
    assert chosen(config(rule=rule, share=0.4, scores=file), LABELS).tolist() == first


def test_interval_sampling_takes_every_nth_of_the_sorted_class():
    scores, labels = torch.arange(9, 0, -1).double(), torch.zeros(9, dtype=torch.long)
    assert choose(scores, labels, 1 / 3, "interval").tolist() == [0, 3, 6]
    assert choose(scores, labels, 0.5, "interval").tolist() == [0, 2, 4, 6]
    assert choose(scores, labels, 0.75, "interval").tolist() == [0, 1, 2, 3, 5, 6, 7]
    assert choose(scores, labels, 0.5, "top").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("draw", "found"),
    [(0, [1, 5, 18, 20, 23, 32, 34, 39, 47, 56]), (1, [3, 6, 8, 11, 22, 37, 50, 54, 55, 59])],
)
def test_random_images_are_always_the_same_and_others_for_another_draw(draw, found):
    assert chosen(config(rule="random", share=0.1, draw=draw), torch.arange(60) % 10).tolist() == found


def test_a_run_sees_the_subset_alone(file):
    images = torch.arange(10, dtype=torch.uint8)[:, None, None, None].expand(10, 3, 32, 32)
    settings = parse({"dataset": "cifar10", "subset.rule": "cv", "subset.share": 0.4, "subset.scores": file})
    split = Split(images, LABELS)
    opened = open_splits(settings, Splits(split, split), "cpu")
    assert (len(opened.train), len(opened.test or ())) == (5, 10)
    ((pixels, labels),) = opened.train.test_batches(10)
    assert (pixels[:, 0, 0, 0] * 255).round().long().tolist() == [0, 1, 2, 3, 9]
    assert labels.tolist() == LABELS[[0, 1, 2, 3, 9]].tolist()
    whole = open_splits(parse({"dataset": "cifar10"}), Splits(split, split), "cpu")
    assert whole.fingerprint != opened.fingerprint


@pytest.mark.filterwarnings("error")
def test_scores_that_a_spreadsheet_saved_again_are_read_and_a_broken_file_is_refused(tmp_path):
    labels = torch.arange(2)
    saved = tmp_path / "saved.csv"
    saved.write_text("image,label,cv\n1,1,0.5\n0,0,0.25\n", encoding="utf-8-sig")
    assert read_scores(str(saved), "cv", labels).tolist() == [0.25, 0.5]
    for content, reason in (
        ("", "No columns to parse"),
        ("image,label,cv\n0,0,0.25\n1,1,much\n", "could not convert string to float: 'much'"),
        ("image;label;cv\n0;0;0.25\n", "Usecols do not match columns"),
    ):
        saved.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=rf"^subset.scores '.*saved.csv' cannot be read: .*{reason}"):
            read_scores(str(saved), "cv", labels)


def test_scores_of_other_images_are_refused(file, tmp_path):
    short, no_number = str(tmp_path / "short.csv"), str(tmp_path / "nan.csv")
    Path(short).write_text("\n".join(row.rsplit(",", 1)[0] for row in ROWS))
    Path(no_number).write_text("\n".join((*ROWS[:10], "9,2,10,0,nan,0,0")))
    for rule, scores, labels, sentence in (
        ("cv", file, (LABELS + 1) % 3, "is of other images: its labels are not those"),
        ("cv", file, torch.zeros(11).long(), "does not have each of the first 11 training images once"),
        ("cv", str(tmp_path / "nothing.csv"), LABELS, "cannot be read"),
        ("k_centre", short, LABELS, "cannot be read: .*'k_centre'"),
        ("cv", no_number, LABELS, "has a 'cv' that is not a finite number"),
    ):
        with pytest.raises(ValueError, match=sentence):
            chosen(config(rule=rule, share=0.5, scores=scores), labels)
    assert len(chosen(config(rule="easy", share=0.5, scores=no_number), LABELS)) == 5  # the rule reads another column
    assert len(chosen(config(rule="cv", share=0.5, scores=file), LABELS[:6])) == 4  # the first six images alone: 2 + 2


OF_THREE = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)[torch.randperm(160, generator=Generator().manual_seed(5))]


def test_the_two_parts_are_disjoint_and_together_all_and_every_class_gives_the_same_share():
    for count in (3, 16, 32, 80):
        training, validating = hold_out(OF_THREE, count)
        assert sorted(torch.cat((training, validating)).tolist()) == list(range(160))
        assert training.tolist() == sorted(training.tolist())
        assert OF_THREE[validating].bincount(minlength=3).tolist() == [round(count * n / 160) for n in (100, 50, 10)]


def test_the_held_out_part_is_always_the_same_and_not_the_first_images_and_a_larger_one_holds_a_smaller_one():
    first = [27, 45, 71, 86, 92, 108, 118, 122]
    assert hold_out(OF_THREE, 8)[1].tolist() == first
    assert set(first) < set(hold_out(OF_THREE, 48)[1].tolist())
