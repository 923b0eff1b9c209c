"""A batch may be mixed in groups, each by itself, as by several processes that mix their own rows."""

import itertools

import pytest
import torch
from torch import Generator

from tests.trainables.methods.small import method_for
from tests.trainables.refusal import check


@pytest.mark.parametrize(
    ("mixer", "edges"),
    [("cutmix", [0, 1]), ("cutmix", [0, 1, 2]), ("cutmix", [0, 2, 4, 7]), ("comixup", [0, 2, 4, 7])],
)
def test_groups_are_mixed_among_themselves_one_after_another(mixer: str, edges: list[int]) -> None:
    """Co-Mixup makes a mixture of all images of a group: of two, of two and of three, which stand side by side."""
    size = edges[-1]
    images, labels = torch.rand(size, 3, 16, 12), torch.arange(size)
    method = method_for(mixer, mixer__groups=3)
    mixed = method.mix(images, labels, Generator().manual_seed(1))
    rng = Generator().manual_seed(1)
    for start, end in itertools.pairwise(edges):
        alone = method.mixture(images[start:end], labels[start:end], rng)
        count = alone.sources.shape[1]
        assert torch.equal(mixed.images[start:end], alone.images)
        assert torch.equal(mixed.sources[start:end, :count], alone.sources + start)
        assert torch.equal(mixed.weights[start:end, :count], alone.weights)
        assert not mixed.weights[start:end, count:].any()
    assert mixer == "cutmix" or mixed.sources[:4, 2].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("mixer", ["manifoldmix", "alignmix", "automix", "samix", "adautomix"])
def test_what_mixes_a_whole_batch_at_once_refuses_groups(mixer: str) -> None:
    with pytest.raises(ValueError, match=r"whole batch.*: mixer\.groups must be 1, got 2$"):
        check({"dataset": "cifar10", "backbone": "resnet8", "mixer": mixer, "mixer.groups": 2})
