import pytest
import torch

from trainables.datasets.data_config import held_out_count
from trainables.datasets.subsampling import hold_out

LABELS = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)[torch.randperm(160, generator=torch.Generator().manual_seed(5))]


def test_the_two_parts_are_disjoint_and_together_all_and_every_class_gives_the_same_share():
    for count in (16, 32, 80):
        training, validating = hold_out(LABELS, count)
        assert sorted(torch.cat((training, validating)).tolist()) == list(range(160))
        assert training.tolist() == sorted(training.tolist())
        assert LABELS[validating].bincount(minlength=3).tolist() == [count * n // 160 for n in (100, 50, 10)]


def test_it_is_the_same_every_time_whatever_was_drawn_before():
    torch.manual_seed(1)
    first = hold_out(LABELS, 20)
    torch.manual_seed(2)
    torch.rand(5)
    assert all(torch.equal(a, b) for a, b in zip(first, hold_out(LABELS, 20), strict=True))


def test_it_is_not_the_first_images_of_a_class_and_more_images_keep_those_of_fewer():
    assert hold_out(torch.zeros(100, dtype=torch.long), 10)[1].max() > 20
    assert set(hold_out(LABELS, 16)[1].tolist()) < set(hold_out(LABELS, 48)[1].tolist())


def test_a_share_or_a_number():
    assert held_out_count(0.0, 160) == 0
    assert held_out_count(0.1, 160) == 16
    assert held_out_count(5000.0, 50_000) == 5000


@pytest.mark.parametrize(
    ("validation", "message"),
    [
        (12.5, r"^validation must be a share below 1 or a whole number of images, got 12.5$"),
        (160.0, r"^validation must leave some of the 160 training images, got 160$"),
        (0.999, r"^validation must leave some of the 160 training images, got 0.999$"),
        (0.001, r"^validation must hold out at least 1 of the 160 training images, got 0.001$"),
    ],
)
def test_impossible_splits_are_quoted(validation, message):
    with pytest.raises(ValueError, match=message):
        held_out_count(validation, 160)
