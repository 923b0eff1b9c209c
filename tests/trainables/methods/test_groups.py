"""A batch may be mixed in groups, each by itself, as by several processes that mix their own rows."""

import itertools

import pytest
import torch
from torch import Generator

from tests.trainables.methods.small import method_for
from tests.trainables.refusal import check


@pytest.mark.parametrize(("size", "edges"), [(1, [0, 1]), (2, [0, 1, 2]), (7, [0, 2, 4, 7])])
def test_groups_are_mixed_among_themselves_one_after_another(size: int, edges: list[int]) -> None:
    images, labels = torch.rand(size, 3, 16, 12), torch.arange(size)
    method = method_for("cutmix", mixer__groups=3)
    mixed = method.mix(images, labels, Generator().manual_seed(1))
    rng = Generator().manual_seed(1)
    for start, end in itertools.pairwise(edges):
        alone = method.mixture(images[start:end], labels[start:end], rng)
        assert torch.equal(mixed.images[start:end], alone.images)
        assert torch.equal(mixed.sources[start:end], alone.sources + start)
        assert torch.equal(mixed.weights[start:end], alone.weights)


def test_groups_of_unequal_numbers_of_sources_stand_side_by_side() -> None:
    """Co-Mixup makes a mixture of all images of a group, here of two, of two and of three."""
    images, labels = torch.rand(7, 3, 16, 12), torch.arange(7)
    method = method_for("comixup", mixer__groups=3)
    mixed = method.mix(images, labels, Generator().manual_seed(1))
    rng = Generator().manual_seed(1)
    for start, end in itertools.pairwise([0, 2, 4, 7]):
        alone = method.mixture(images[start:end], labels[start:end], rng)
        assert torch.equal(mixed.images[start:end], alone.images)
        assert torch.equal(mixed.sources[start:end, : end - start], alone.sources + start)
        assert torch.equal(mixed.weights[start:end, : end - start], alone.weights)
        assert not mixed.weights[start:end, end - start :].any()
    assert mixed.sources[:4, 2].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("mixer", ["manifoldmix", "alignmix", "automix", "samix", "adautomix"])
def test_what_mixes_a_whole_batch_at_once_refuses_groups(mixer: str) -> None:
    with pytest.raises(ValueError, match=r"whole batch.*: mixer\.groups must be 1, got 2$"):
        check({"dataset": "cifar10", "backbone": "resnet8", "mixer": mixer, "mixer.groups": 2})
